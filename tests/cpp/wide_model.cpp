// Takes the place of kernels.cpp: the inner loops with the panels of AVX-512, for any processor.
#define SSIQA_ISA wide_model
#define SSIQA_VECTOR_BYTES 64
#define SSIQA_PANEL_VECTORS 3
#define SSIQA_PANEL_ROWS 8

#include "kernels_impl.h"

namespace ssiqa {

template <>
const Kernels<float>& kernels<float>() {
  return wide_model::kFloat;
}

template <>
const Kernels<double>& kernels<double>() {
  return wide_model::kDouble;
}

}  // namespace ssiqa
