#include "select.h"

#include <stdexcept>
#include <string>
#include <utility>

#include "selection.h"
#include "threads.h"

namespace ssiqa {
namespace {

template <class Key, class T>
std::size_t run(const VectorView<T>& a, const VectorView<T>& b, std::size_t k, std::int64_t* indices,
                std::size_t threads) {
  constexpr double kWorkPerElement = 16;
  constexpr std::size_t kStretch = std::size_t{1} << 17U;
  std::vector<Selection<Key>> parts(std::clamp<std::size_t>(a.size / kStretch, 1, threads));
  parallel_for(parts.size(), kWorkPerElement * static_cast<double>(a.size), threads, [&](std::size_t part) {
    parts[part] = select<Key>(a, b, a.size * part / parts.size(), a.size * (part + 1) / parts.size(), k);
  });
  Selection<Key> whole;
  for (const Selection<Key>& part : parts) whole = merge(std::move(whole), part, k);
  std::ranges::sort(whole.keys);
  std::ranges::transform(whole.keys, indices, [](const Key& key) { return static_cast<std::int64_t>(key.index()); });
  return whole.nan_count;
}

}  // namespace

template <class T>
std::size_t smallest_difference(const VectorView<T>& a, const VectorView<T>& b, std::size_t k, std::int64_t* indices,
                                std::size_t threads) {
  if (k > a.size) {
    throw std::invalid_argument("k is " + std::to_string(k) + ", but there are only " + std::to_string(a.size) +
                                " elements.");
  }
  if constexpr (sizeof(T) == sizeof(float)) {
    if (a.size <= std::numeric_limits<std::uint32_t>::max()) return run<NarrowKey>(a, b, k, indices, threads);
  }
  return run<WideKey>(a, b, k, indices, threads);
}

template std::size_t smallest_difference(const VectorView<float>&, const VectorView<float>&, std::size_t,
                                         std::int64_t*, std::size_t);
template std::size_t smallest_difference(const VectorView<double>&, const VectorView<double>&, std::size_t,
                                         std::int64_t*, std::size_t);

}  // namespace ssiqa
