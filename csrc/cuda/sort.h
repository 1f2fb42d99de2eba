// Pairs in the order of their keys, by CUB.
#pragma once

#include <cstdint>

#include "gpu.h"

namespace ssiqa::gpu {

// Pairs in two places: a sort reads the first and leaves the result there, with the second as room.
template <class Key, class Value>
struct Pairs {
  Key* keys[2];
  Value* values[2];
};

// Ascending and stable. Key is std::uint32_t or std::uint64_t, Value likewise.
template <class Key, class Value>
void queue_sort(Pairs<Key, Value>& pairs, std::size_t count, Scratch& memory, cudaStream_t stream);

}  // namespace ssiqa::gpu
