// Twenty-four sums, three columns and a row value of thirty-two registers.
#define SSIQA_ISA avx512
#define SSIQA_VECTOR_BYTES 64
#define SSIQA_PANEL_VECTORS 3
#define SSIQA_PANEL_ROWS 8

#include "kernels_impl.h"
