// A bound on the k smallest differences, guessed from a few of them.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "difference.h"
#include "view.h"

namespace ssiqa {

// Numbers that look random, the same in every run.
inline std::uint64_t scrambled(std::uint64_t i) {
  i *= 0x9e3779b97f4a7c15U;
  i = (i ^ i >> 32U) * 0xd6e8feb86659fd93U;
  return i ^ i >> 32U;
}

// Bits that nearly always at least k of the differences do not exceed, and few more. One element is looked at in each
// of many steps, at a place that no regularity of the vectors can foresee; a histogram over the leading bits of these
// differences, rounded to float, then tells the bound.
template <class T>
Bits<T> guess_bound(const VectorView<T>& a, const VectorView<T>& b, std::size_t k) {
  constexpr std::size_t kFewest = 256;
  constexpr std::size_t kMost = 16384;  // each costs a line from memory
  constexpr unsigned kShift = 19;       // leaves 8 bits of the exponent and 4 of the mantissa
  const std::size_t step = std::max<std::size_t>(a.size / std::clamp(a.size / 16, kFewest, kMost), 1);
  const std::size_t steps = a.size / step;
  std::array<std::uint32_t, std::size_t{1} << (31U - kShift)> histogram{};
  for (std::size_t i = 0; i < steps; ++i) {
    const std::size_t at = i * step + scrambled(i) % step;
    const auto difference = static_cast<float>(a[at] - b[at]);
    ++histogram[static_cast<std::size_t>(difference_bits(difference, 0.0F) >> kShift)];
  }
  const double share = static_cast<double>(k) / static_cast<double>(step);
  const auto wanted = static_cast<std::size_t>(share + 4 * std::sqrt(share) + 4);
  std::size_t bin = 0;
  for (std::size_t passing = histogram[0]; passing < wanted && bin + 1 < histogram.size();) passing += histogram[++bin];
  const auto edge = static_cast<Bits<float>>((bin + 1) << kShift);  // above everything in the bin
  if (bin + 1 == histogram.size()) return kNanBits<T>;
  if (edge >= kInfinityBits<float>) return kInfinityBits<T>;
  return difference_bits(static_cast<T>(difference_of<float>(edge)), T{0});
}

}  // namespace ssiqa
