// The smallest differences of two vectors.
#pragma once

#include <cstdint>

#include "gpu.h"
#include "view.h"

namespace ssiqa::gpu {

inline constexpr std::size_t kMostElements = 0xFFFF'FFFF;

// indices: room for k, at most a.size, which is at most kMostElements. Ordered by (|a - b|, index), the difference computed in
// T; NaN differences come last. The answer is that of the core, bit for bit.
template <class T>
void queue_smallest_difference(const VectorView<T>& a, const VectorView<T>& b, std::size_t k, std::int64_t* indices,
                               Scratch& memory, cudaStream_t stream);

}  // namespace ssiqa::gpu
