#include "sort.h"

#include <cub/device/device_radix_sort.cuh>

namespace ssiqa::gpu {

template <class Key, class Value>
void queue_sort(Pairs<Key, Value>& pairs, std::size_t count, Scratch& memory, cudaStream_t stream) {
  cub::DoubleBuffer<Key> keys(pairs.keys[0], pairs.keys[1]);
  cub::DoubleBuffer<Value> values(pairs.values[0], pairs.values[1]);
  const auto sort = [&](void* room, std::size_t& bytes) {
    check(cub::DeviceRadixSort::SortPairs(room, bytes, keys, values, count, 0, 8 * sizeof(Key), stream), "Sorting");
  };
  std::size_t bytes = 0;
  sort(nullptr, bytes);
  auto* const room = memory.take<char>(bytes);
  if (memory.only_counts()) return;
  sort(room, bytes);
  pairs = {{keys.Current(), keys.Alternate()}, {values.Current(), values.Alternate()}};
}

template void queue_sort(Pairs<std::uint32_t, std::uint32_t>&, std::size_t, Scratch&, cudaStream_t);
template void queue_sort(Pairs<std::uint64_t, std::uint32_t>&, std::size_t, Scratch&, cudaStream_t);
template void queue_sort(Pairs<std::uint32_t, std::uint64_t>&, std::size_t, Scratch&, cudaStream_t);

}  // namespace ssiqa::gpu
