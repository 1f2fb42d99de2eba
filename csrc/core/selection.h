// A partial result of the selection: the smallest keys of a stretch of the vectors. Partial results merge in any order
// to the same whole, which serves threads here and shards elsewhere.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
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

// All NaNs become this one, which is above infinity.
template <class T>
inline constexpr Bits<T> kNanBits = std::numeric_limits<Bits<T>>::max() >> 1U;

// The bits of a number that is not negative order like the number itself.
template <class T>
Bits<T> difference_bits(T a, T b) {
  const T difference = a - b;
  const Bits<T> magnitude = std::bit_cast<Bits<T>>(difference) & kNanBits<T>;
  return difference == difference ? magnitude : kNanBits<T>;
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

inline constexpr std::size_t kStretchSize = 256;

// The bits of the differences of [begin, begin + size), size at most kStretchSize.
template <class T>
void stretch_bits(const VectorView<T>& a, const VectorView<T>& b, std::size_t begin, std::size_t size, Bits<T>* bits) {
  if (a.stride == 1 && b.stride == 1) {  // apart, because the compiler can then use vectors
    const T* const p = a.data + begin;
    const T* const q = b.data + begin;
    for (std::size_t i = 0; i < size; ++i) bits[i] = difference_bits(p[i], q[i]);
  } else {
    for (std::size_t i = 0; i < size; ++i) bits[i] = difference_bits(a[begin + i], b[begin + i]);
  }
}

// A bound on the bits that about k elements of [begin, end) do not exceed: at least k if every element is looked at,
// nearly always at least k if every step-th is. It comes from a histogram over the leading bits.
template <class T>
Bits<T> bound_of(const VectorView<T>& a, const VectorView<T>& b, std::size_t begin, std::size_t end, std::size_t k,
                 std::size_t step) {
  constexpr unsigned kLeadingBits = 12;
  constexpr unsigned kShift = 8 * sizeof(T) - 1 - kLeadingBits;
  std::array<std::uint32_t, std::size_t{1} << kLeadingBits> histogram{};
  for (std::size_t i = begin; i < end; i += step) {
    ++histogram[static_cast<std::size_t>(difference_bits(a[i], b[i]) >> kShift)];
  }
  const double share = static_cast<double>(k) / static_cast<double>(step);
  const double wanted = step == 1 ? share : share + 4 * std::sqrt(share) + 4;
  std::size_t bin = 0;
  double passing = histogram[0];
  while (passing < wanted && bin + 1 < histogram.size()) passing += histogram[++bin];
  return static_cast<Bits<T>>(((bin + 1) << kShift) - 1);
}

// The keys of [begin, end) whose bits do not exceed the bound.
template <class Key, class T>
Selection<Key> collect(const VectorView<T>& a, const VectorView<T>& b, std::size_t begin, std::size_t end,
                       Bits<T> bound) {
  Selection<Key> selection;
  std::array<Bits<T>, kStretchSize> bits;
  std::array<std::uint16_t, kStretchSize> passing;
  for (std::size_t first = begin; first < end; first += kStretchSize) {
    const std::size_t size = std::min(kStretchSize, end - first);
    stretch_bits(a, b, first, size, bits.data());
    std::size_t count = 0;
    for (std::size_t i = 0; i < size; ++i) {  // no branch, because it could not be predicted
      passing[count] = static_cast<std::uint16_t>(i);
      count += bits[i] <= bound ? 1U : 0U;
    }
    for (std::size_t i = 0; i < size; ++i) selection.nan_count += bits[i] == kNanBits<T> ? 1U : 0U;
    for (std::size_t i = 0; i < count; ++i) selection.keys.emplace_back(bits[passing[i]], first + passing[i]);
  }
  return selection;
}

// The k smallest keys among the elements [begin, end). A bound that few elements pass is guessed from a sample of a long
// stretch, so that keys are made and ordered for those only; a guess that was too low is made good by looking at all.
template <class Key, class T>
Selection<Key> select(const VectorView<T>& a, const VectorView<T>& b, std::size_t begin, std::size_t end,
                      std::size_t k) {
  constexpr std::size_t kLong = 4096;
  constexpr std::size_t kStep = 13;  // odd, so that rows of a power of two do not repeat in the sample
  k = std::min(k, end - begin);
  const std::size_t step = end - begin > kLong ? kStep : 1;
  Selection<Key> selection = collect<Key>(a, b, begin, end, bound_of(a, b, begin, end, k, step));
  if (selection.keys.size() < k) selection = collect<Key>(a, b, begin, end, bound_of(a, b, begin, end, k, 1));
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
