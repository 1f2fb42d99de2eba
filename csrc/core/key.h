// What a selection orders: differences, and where they are equal, indices.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "kernels.h"
#include "pages.h"

namespace ssiqa {

template <class T, class Index>
struct Key {
  Bits<T> bits;
  Index index;
  auto operator<=>(const Key&) const = default;
};

template <class T, class Index>
using Keys = LargeVector<Key<T, Index>>;

// Sorts keys whose indices ascend, so that a stable sort by the bits is enough: digit by digit from the lowest, leaving
// out the digits in which all are equal. The cost does not depend on the order.
template <class T, class Index>
void sort_ascending_indices(Keys<T, Index>& keys) {
  constexpr std::size_t kFew = 256;
  constexpr unsigned kDigitBits = 10;  // more, and the places written to in turn do not stay in the first-level cache
  constexpr unsigned kDigits = (8 * sizeof(T) - 1 + kDigitBits - 1) / kDigitBits;
  constexpr std::size_t kValues = std::size_t{1} << kDigitBits;
  if (keys.size() <= kFew) {
    std::ranges::sort(keys);
    return;
  }
  const auto value = [](const Key<T, Index>& key, unsigned digit) {
    return static_cast<std::size_t>(static_cast<std::make_unsigned_t<Bits<T>>>(key.bits) >> digit * kDigitBits) %
           kValues;
  };
  std::array<std::array<Index, kValues>, kDigits> counts{};
  for (const Key<T, Index>& key : keys) {
#pragma GCC unroll 8
    for (unsigned digit = 0; digit < kDigits; ++digit) ++counts[digit][value(key, digit)];
  }
  Keys<T, Index> other(keys.size());
  for (unsigned digit = 0; digit < kDigits; ++digit) {
    auto& places = counts[digit];
    if (places[value(keys[0], digit)] == keys.size()) continue;
    Index place = 0;
    for (Index& count : places) place += std::exchange(count, place);
    for (const Key<T, Index>& key : keys) other[static_cast<std::size_t>(places[value(key, digit)]++)] = key;
    keys.swap(other);
  }
}

}  // namespace ssiqa
