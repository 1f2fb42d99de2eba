// Matrices of one shape that lie at equal distances, and a number for each of them.
#pragma once

#include <cstddef>

#include "view.h"

namespace ssiqa::gpu {

template <class T>
struct Batch {
  MatrixView<T> first;
  std::ptrdiff_t stride = 0;

  constexpr MatrixView<T> operator[](std::size_t b) const {
    MatrixView<T> matrix = first;
    matrix.data += static_cast<std::ptrdiff_t>(b) * stride;
    return matrix;
  }
};

// What a kernel's arguments have room for: more batches take more launches.
inline constexpr std::size_t kMostBatches = 64;

template <class T>
struct Numbers {
  T values[kMostBatches];
};

}  // namespace ssiqa::gpu
