// The instructions that every processor of the target has: eight sums of sixteen registers.
#define SSIQA_ISA baseline
#define SSIQA_VECTOR_BYTES 16
#define SSIQA_PANEL_VECTORS 2
#define SSIQA_PANEL_ROWS 4

#include "kernels_impl.h"
