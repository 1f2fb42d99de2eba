#include "kernels.h"

// A file of its own, so that a test can put the model of the tile unit in its place.
namespace ssiqa {

template <>
const Products<float>& products<float>() {
#ifdef SSIQA_AMX
  if (active_isa() == Isa::amx) return amx::kFloat;
#endif
  return kernels<float>();
}

template <>
const Products<double>& products<double>() {
  return kernels<double>();
}

}  // namespace ssiqa
