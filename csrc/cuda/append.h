// A block's part of a list that all blocks write.
#pragma once

#include "gpu.h"

namespace ssiqa::gpu {

// Calls put(e, place) for each of a thread's elements for which wants(e); the places of all blocks are counted on from
// `counter`, in any order.
template <unsigned kEach, class Wants, class Put>
__device__ void append(unsigned* counter, unsigned& found, unsigned& first, const Wants& wants, const Put& put) {
  constexpr unsigned kNone = ~0U;
  unsigned places[kEach];
  if (threadIdx.x == 0) found = 0;
  __syncthreads();
#pragma unroll
  for (unsigned e = 0; e < kEach; ++e) places[e] = wants(e) ? atomicAdd(&found, 1U) : kNone;
  __syncthreads();
  if (threadIdx.x == 0) first = atomicAdd(counter, found);
  __syncthreads();
#pragma unroll
  for (unsigned e = 0; e < kEach; ++e) {
    if (places[e] != kNone) put(e, std::size_t{first} + places[e]);
  }
}

}  // namespace ssiqa::gpu
