// Twelve sums, three columns and one row value fill the sixteen registers.
#define SSIQA_ISA avx2
#define SSIQA_VECTOR_BYTES 32
#define SSIQA_PANEL_VECTORS 3
#define SSIQA_PANEL_ROWS 4

#include "kernels_impl.h"
