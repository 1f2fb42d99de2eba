// Sums that several blocks have parts of.
#pragma once

#include <algorithm>

#include "gpu.h"

namespace ssiqa::gpu {

// out[i] = parts[i] + parts[count + i] + ..., `splits` of them, always in this order.
template <class T>
void queue_sum(const double* parts, std::size_t splits, std::size_t count, T* out, cudaStream_t stream);

// How many blocks share the tiles of one row of blocks, so that the device has work for all its multiprocessors; one where
// there are no tiles, whose sums are 0.
inline std::size_t splits_for(std::size_t blocks, std::size_t tiles) {
  constexpr std::size_t kBlocksEach = 2;
  return std::clamp<std::size_t>(ceil_div(kBlocksEach * multiprocessors(), blocks), 1, std::max<std::size_t>(tiles, 1));
}

}  // namespace ssiqa::gpu
