// A matrix or vector somewhere in memory, seen through its strides; owns nothing.
#pragma once

#include <cstddef>

namespace ssiqa {

template <class T>
struct VectorView {
  const T* data = nullptr;
  std::size_t size = 0;
  std::ptrdiff_t stride = 1;

  constexpr const T& operator[](std::size_t i) const { return data[static_cast<std::ptrdiff_t>(i) * stride]; }
};

template <class T>
struct MatrixView {
  const T* data = nullptr;
  std::size_t rows = 0;
  std::size_t cols = 0;
  std::ptrdiff_t row_stride = 0;
  std::ptrdiff_t col_stride = 1;

  constexpr const T* row(std::size_t i) const { return data + static_cast<std::ptrdiff_t>(i) * row_stride; }
  constexpr const T& operator()(std::size_t i, std::size_t j) const {
    return row(i)[static_cast<std::ptrdiff_t>(j) * col_stride];
  }
};

}  // namespace ssiqa
