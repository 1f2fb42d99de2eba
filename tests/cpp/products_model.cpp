// Takes the place of products.cpp: blocks of the kernel matrix in float are computed by the model of the tile unit.
#define SSIQA_ISA amx_model

#include "amx_model.h"

#include "amx_impl.h"

namespace ssiqa {

template <>
const Products<float>& products<float>() {
  return amx_model::kFloat;
}

template <>
const Products<double>& products<double>() {
  return kernels<double>();
}

}  // namespace ssiqa
