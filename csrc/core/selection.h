// A partial result of the selection: the smallest keys of a stretch of the vectors. Partial results merge in any order
// to the same whole, which serves threads here and shards elsewhere.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "view.h"

namespace ssiqa {

template <class T>
using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;

// The bits of a number that is not negative order like the number itself; all NaNs become one, above infinity.
template <class T>
Bits<T> difference_bits(T a, T b) {
  const T difference = a - b;
  const Bits<T> magnitude = std::bit_cast<Bits<T>>(difference) & (std::numeric_limits<Bits<T>>::max() >> 1U);
  return difference == difference ? magnitude : std::numeric_limits<Bits<T>>::max() >> 1U;
}

// (difference, index) in 64 bits, for float vectors of at most 2^32 elements.
class NarrowKey {
 public:
  NarrowKey(std::uint32_t bits, std::size_t index) : key_(std::uint64_t{bits} << 32U | index) {}
  std::size_t index() const { return static_cast<std::uint32_t>(key_); }
  auto operator<=>(const NarrowKey&) const = default;

 private:
  std::uint64_t key_;
};

class WideKey {
 public:
  WideKey(std::uint64_t bits, std::size_t index) : bits_(bits), index_(index) {}
  std::size_t index() const { return index_; }
  auto operator<=>(const WideKey&) const = default;

 private:
  std::uint64_t bits_;
  std::size_t index_;
};

template <class Key>
struct Selection {
  std::vector<Key> keys;  // in no particular order
  std::size_t nan_count = 0;
};

// Leaves only the k smallest keys.
template <class Key>
void keep_smallest(std::vector<Key>& keys, std::size_t k) {
  if (keys.size() <= k) return;
  std::nth_element(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(k), keys.end());
  keys.erase(keys.begin() + static_cast<std::ptrdiff_t>(k), keys.end());
}

// The k smallest keys among the elements [begin, end). A histogram over the leading bits of the differences gives a bound
// that few elements pass, so that keys are made and ordered for those only.
template <class Key, class T>
Selection<Key> select(const VectorView<T>& a, const VectorView<T>& b, std::size_t begin, std::size_t end,
                      std::size_t k) {
  constexpr unsigned kLeadingBits = 12;
  constexpr unsigned kShift = 8 * sizeof(T) - 1 - kLeadingBits;
  constexpr std::size_t kBins = std::size_t{1} << kLeadingBits;
  Selection<Key> selection;
  std::array<std::size_t, kBins> histogram{};
  for (std::size_t i = begin; i < end; ++i) {
    const Bits<T> bits = difference_bits(a[i], b[i]);
    ++histogram[static_cast<std::size_t>(bits >> kShift)];
    selection.nan_count += bits == std::numeric_limits<Bits<T>>::max() >> 1U;
  }
  std::size_t bin = 0;
  std::size_t passing = histogram[0];
  while (passing < k && bin + 1 < kBins) passing += histogram[++bin];
  if (k == 0) return selection;

  selection.keys.reserve(passing);
  for (std::size_t i = begin; i < end; ++i) {
    const Bits<T> bits = difference_bits(a[i], b[i]);
    if (static_cast<std::size_t>(bits >> kShift) <= bin) selection.keys.emplace_back(bits, i);
  }
  keep_smallest(selection.keys, k);
  return selection;
}

template <class Key>
Selection<Key> merge(Selection<Key> left, const Selection<Key>& right, std::size_t k) {
  left.keys.insert(left.keys.end(), right.keys.begin(), right.keys.end());
  left.nan_count += right.nan_count;
  keep_smallest(left.keys, k);
  return left;
}

}  // namespace ssiqa
