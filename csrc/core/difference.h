// The difference of two numbers as an integer that orders like it.
#pragma once

#include <bit>
#include <limits>

#include "kernels.h"

namespace ssiqa {

// All NaNs become this one, which is above infinity.
template <class T>
inline constexpr Bits<T> kNanBits = std::numeric_limits<Bits<T>>::max();

template <class T>
inline constexpr Bits<T> kInfinityBits = std::bit_cast<Bits<T>>(std::numeric_limits<T>::infinity());

// The bits of a number that is not negative order like the number itself.
template <class T>
Bits<T> difference_bits(T a, T b) {
  const T difference = a - b;
  const Bits<T> magnitude = std::bit_cast<Bits<T>>(difference) & kNanBits<T>;
  return difference == difference ? magnitude : kNanBits<T>;
}

// The difference whose bits these are.
template <class T>
T difference_of(Bits<T> bits) {
  return std::bit_cast<T>(bits);
}

}  // namespace ssiqa
