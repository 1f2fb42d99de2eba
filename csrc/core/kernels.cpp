#include "kernels.h"

namespace ssiqa {
namespace {

template <class T>
const Kernels<T>& pick(const Kernels<float>& f, const Kernels<double>& d) {
  if constexpr (sizeof(T) == sizeof(float)) {
    return f;
  } else {
    return d;
  }
}

}  // namespace

template <class T>
const Kernels<T>& kernels() {
  switch (active_isa()) {
#ifdef SSIQA_X86
    case Isa::amx:
    case Isa::avx512:
      return pick<T>(avx512::kFloat, avx512::kDouble);
    case Isa::avx2:
      return pick<T>(avx2::kFloat, avx2::kDouble);
#endif
    default:
      return pick<T>(baseline::kFloat, baseline::kDouble);
  }
}

template const Kernels<float>& kernels<float>();
template const Kernels<double>& kernels<double>();

}  // namespace ssiqa
