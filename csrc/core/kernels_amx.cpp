// Products in the tile unit; everything else is the code for AVX-512.
#define SSIQA_ISA amx

#include "amx_tiles.h"

#include "amx_impl.h"
