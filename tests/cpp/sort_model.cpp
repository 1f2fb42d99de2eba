// What CUB does on a GPU, for the model of one.
#include <algorithm>
#include <numeric>
#include <vector>

#include "sort.h"

namespace ssiqa::gpu {

template <class Key, class Value>
void queue_sort(Pairs<Key, Value>& pairs, std::size_t count, Scratch& memory, cudaStream_t) {
  memory.take<char>(1);
  if (memory.only_counts()) return;
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return pairs.keys[0][i]; });
  for (std::size_t i = 0; i < count; ++i) {
    pairs.keys[1][i] = pairs.keys[0][order[i]];
    pairs.values[1][i] = pairs.values[0][order[i]];
  }
  std::swap(pairs.keys[0], pairs.keys[1]);
  std::swap(pairs.values[0], pairs.values[1]);
}

template void queue_sort(Pairs<std::uint32_t, std::uint32_t>&, std::size_t, Scratch&, cudaStream_t);
template void queue_sort(Pairs<std::uint64_t, std::uint32_t>&, std::size_t, Scratch&, cudaStream_t);
template void queue_sort(Pairs<std::uint32_t, std::uint64_t>&, std::size_t, Scratch&, cudaStream_t);

}  // namespace ssiqa::gpu
