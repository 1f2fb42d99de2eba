#include "rbf.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "blocks.h"

namespace ssiqa {
namespace {

// Turns the dot products of row r of a block into distances, in place.
struct ToDistances {
  template <class T>
  void operator()(Block<T>& block, std::size_t r) const {
    T* const row = block.dots + r * kBlockCols<T>;
    kernels<T>().distances(row, block.left_norms[r], block.right_norms, block.cols, row);
  }
};

template <class T>
struct ToRbf {
  T gamma;
  void operator()(Block<T>& block, std::size_t r) const {
    T* const row = block.dots + r * kBlockCols<T>;
    kernels<T>().rbf(row, block.left_norms[r], block.right_norms, gamma, block.cols, row);
  }
};

// mirrored: only the entries on and above the diagonal are computed.
template <class T, class S, class Finish>
void fill_matrix(const MatrixView<S>& x, const MatrixView<S>& z, bool mirrored, const Finish& finish, T* out,
                 std::size_t threads) {
  const Part part = mirrored ? Part::upper : Part::all;
  for_each_block<T>(x, z, centre_of<T>(z), part, threads, [&](Block<T>& block) {
    const std::size_t stop = block.col + block.cols;
    const std::size_t from = part == Part::upper && block.row > block.col ? block.row - block.col : 0;
    if (from >= block.cols) return;
    for (std::size_t r = 0; r < block.rows; ++r) {
      finish(block, r);
      std::memcpy(out + (block.row + r) * z.rows + block.col + from, block.dots + r * kBlockCols<T> + from,
                  (block.cols - from) * sizeof(T));
    }
    if (!mirrored) return;
    // Entries inside the square on the diagonal were computed on both sides of it.
    for (std::size_t j = std::max(block.col, block.row + block.rows); j < stop; ++j) {
      for (std::size_t r = 0; r < block.rows; ++r) {
        out[j * z.rows + block.row + r] = block.dots[r * kBlockCols<T> + j - block.col];
      }
    }
  });
}

template <class T>
bool same_rows(const MatrixView<T>& x, const MatrixView<T>& z) {
  return x.data == z.data && x.rows == z.rows && x.row_stride == z.row_stride && x.col_stride == z.col_stride;
}

// Bytes of each of the two buffers that grow with the number of targets: coefficients of a stretch of z, and sums of a
// stretch of x.
constexpr std::size_t kStretchBytes = std::size_t{8} << 20U;
// Fewer bytes of sums suffice where they are so many rows, each of which is a product with all of z.
constexpr std::size_t kSumBytes = std::size_t{1} << 20U;
constexpr std::size_t kSumRows = std::size_t{1} << 14U;

// Rows whose numbers fit into `bytes`, in whole blocks.
std::size_t stretch_rows(std::size_t bytes_per_row, std::size_t bytes = kStretchBytes) {
  const std::size_t blocks = bytes / (std::max<std::size_t>(bytes_per_row, 1) * kBlockCols<float>);
  return std::max<std::size_t>(blocks, 1) * kBlockCols<float>;
}

std::size_t sum_rows(std::size_t bytes_per_row) {
  return std::min(stretch_rows(bytes_per_row), std::max(stretch_rows(bytes_per_row, kSumBytes), kSumRows));
}

template <class T>
MatrixView<T> rows_of(const MatrixView<T>& x, std::size_t begin, std::size_t end) {
  return {x.row(begin), end - begin, x.cols, x.row_stride, x.col_stride};
}

// For each column of coef the power of two by which it is divided: 1, unless a sum could otherwise overflow on the way
// to a result that does not. No kernel is above 1.
template <class T>
std::vector<T> scales_of(const MatrixView<T>& coef) {
  int bits = 0;  // of the number of terms
  std::frexp(static_cast<double>(coef.rows), &bits);
  std::vector<T> largest(coef.cols, T{0});
  for (std::size_t j = 0; j < coef.rows; ++j) {
    for (std::size_t t = 0; t < coef.cols; ++t) {
      if (!std::isfinite(coef(j, t))) throw std::invalid_argument("The coefficients must be finite numbers.");
      largest[t] = std::max(largest[t], std::abs(coef(j, t)));
    }
  }
  std::vector<T> scales(coef.cols);
  std::ranges::transform(largest, scales.begin(), [bits](T value) {
    int exponent = 0;
    std::frexp(value, &exponent);
    return std::ldexp(T{1}, std::max(exponent + bits + 1 - std::numeric_limits<T>::max_exponent, 0));
  });
  return scales;
}

// The columns of coef one after another, scaled, each padded with zeros to whole blocks.
template <class T>
void pad_columns(const MatrixView<T>& coef, const std::vector<T>& scales, std::size_t padded, T* columns) {
  std::fill_n(columns, padded * coef.cols, T{0});
  for (std::size_t j = 0; j < coef.rows; ++j) {
    for (std::size_t t = 0; t < coef.cols; ++t) columns[t * padded + j] = coef(j, t) / scales[t];
  }
}

template <class T, class Sum>
void unscale(const Sum* sums, std::size_t count, const std::vector<T>& scales, T* out) {
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = static_cast<T>(sums[i] * static_cast<Sum>(scales[i % scales.size()]));
    if (!std::isfinite(out[i])) {
      throw std::invalid_argument("The product is too large for its type; make the coefficients smaller.");
    }
  }
}

template <class T>
struct Product {
  ToRbf<T> finish;
  std::vector<T> centre;  // of all rows of z, so that a kernel does not depend on the stretch it is computed in
  std::vector<T> scales;
  std::size_t threads;

  // sums += K(x, z) coef, row by row.
  template <class Sum>
  void add(const MatrixView<T>& x, const MatrixView<T>& z, const MatrixView<T>& coef, T* columns, Sum* sums) const {
    const std::size_t targets = coef.cols;
    const std::size_t padded = (z.rows + kBlockCols<T> - 1) / kBlockCols<T> * kBlockCols<T>;
    pad_columns(coef, scales, padded, columns);
    for_each_block<T>(x, z, centre, Part::all, threads, [&](Block<T>& block) {
      const std::size_t nr = kernels<T>().nr;
      const std::size_t whole = (block.cols + nr - 1) / nr * nr;
      for (std::size_t r = 0; r < block.rows; ++r) {
        T* const row = block.dots + r * kBlockCols<T>;
        finish(block, r);
        std::fill(row + block.cols, row + whole, T{0});
        for (std::size_t t = 0; t < targets; ++t) {
          Sum& sum = sums[(block.row + r) * targets + t];
          sum += static_cast<Sum>(kernels<T>().dot(row, columns + t * padded + block.col, whole));
        }
      }
    });
  }
};

template <class T, class Sum>
void product(const MatrixView<T>& x, const MatrixView<T>& z, const MatrixView<T>& coef, T gamma, T* out,
             std::size_t threads) {
  const Product<T> part{{gamma}, centre_of<T>(z), scales_of(coef), threads};
  const std::size_t targets = coef.cols;
  const std::size_t width = stretch_rows((x.cols + targets) * sizeof(T));
  Buffer<T> columns(std::min(width, z.rows + kBlockCols<T>) * targets);
  constexpr bool kInPlace = std::is_same_v<T, Sum>;
  const std::size_t height = kInPlace ? x.rows : std::min(sum_rows(targets * sizeof(Sum)), x.rows);
  Buffer<Sum> buffer(kInPlace ? 0 : height * targets);
  for (std::size_t row = 0; row < x.rows; row += height) {
    const MatrixView<T> some = rows_of(x, row, std::min(row + height, x.rows));
    Sum* sums = buffer.data();
    if constexpr (kInPlace) sums = out + row * targets;
    std::fill_n(sums, some.rows * targets, Sum{0});
    for (std::size_t col = 0; col < z.rows; col += width) {
      const std::size_t end = std::min(col + width, z.rows);
      part.add(some, rows_of(z, col, end), rows_of(coef, col, end), columns.data(), sums);
    }
    unscale(sums, some.rows * targets, part.scales, out + row * targets);
  }
}

}  // namespace

template <class T>
void squared_distances(const MatrixView<T>& x, const MatrixView<T>& z, T* out, std::size_t threads) {
  fill_matrix<T>(x, z, same_rows(x, z), ToDistances{}, out, threads);
}

template <class T>
void rbf_kernel(const MatrixView<T>& x, const MatrixView<T>& z, double gamma, T* out, std::size_t threads) {
  fill_matrix<T>(x, z, same_rows(x, z), ToRbf<T>{checked_gamma<T>(gamma)}, out, threads);
}

template <class T>
void rbf_matvec(const MatrixView<T>& x, const MatrixView<T>& z, const MatrixView<T>& coef, double gamma,
                Accumulate accumulate, T* out, std::size_t threads) {
  const T width = checked_gamma<T>(gamma);
  if (accumulate == Accumulate::float64) {
    product<T, double>(x, z, coef, width, out, threads);
  } else {
    product<T, T>(x, z, coef, width, out, threads);
  }
}

std::size_t rbf_workspace(std::size_t rows, std::size_t others, std::size_t features, std::size_t targets) {
  const auto held = [](std::size_t lines, std::size_t numbers) {
    const std::size_t bytes = numbers * sizeof(double);
    return std::min(stretch_rows(bytes), lines) * bytes;
  };
  const std::size_t sums = targets * sizeof(double);
  const std::size_t step = products<float>().feature_step;
  const std::size_t padded = (std::max<std::size_t>(features, 1) + step - 1) / step * step;
  return held(others, padded) + held(others, targets) + std::min(sum_rows(sums), rows) * sums;
}

#define SSIQA_INSTANTIATE(T)                                                                                       \
  template void squared_distances(const MatrixView<T>&, const MatrixView<T>&, T*, std::size_t);                    \
  template void rbf_kernel(const MatrixView<T>&, const MatrixView<T>&, double, T*, std::size_t);                   \
  template void rbf_matvec(const MatrixView<T>&, const MatrixView<T>&, const MatrixView<T>&, double, Accumulate, T*, \
                           std::size_t);
SSIQA_INSTANTIATE(float)
SSIQA_INSTANTIATE(double)

}  // namespace ssiqa
