#include "rbf.h"

#include <cmath>
#include <cstring>
#include <stdexcept>

#include "blocks.h"

namespace ssiqa {
namespace {

template <class T>
T checked_gamma(double gamma) {
  const T value = static_cast<T>(gamma);
  if (!(std::isfinite(value) && value >= 0)) {
    throw std::invalid_argument("gamma must be a finite number that is not negative.");
  }
  return value;
}

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

enum class Half { none, computed, mirrored };  // whether only entries on and above the diagonal are computed

template <class T, class S, class Finish>
void fill_matrix(const MatrixView<S>& x, const MatrixView<S>& z, Half half, const Finish& finish, T* out,
                 std::size_t threads) {
  const Part part = half == Half::none ? Part::all : Part::upper;
  for_each_block<T>(x, z, part, threads, [&](Block<T>& block) {
    const std::size_t stop = block.col + block.cols;
    const std::size_t from = part == Part::upper && block.row > block.col ? block.row - block.col : 0;
    if (from >= block.cols) return;
    for (std::size_t r = 0; r < block.rows; ++r) {
      finish(block, r);
      std::memcpy(out + (block.row + r) * z.rows + block.col + from, block.dots + r * kBlockCols<T> + from,
                  (block.cols - from) * sizeof(T));
    }
    if (half != Half::mirrored) return;
    // Entries inside the square on the diagonal were computed on both sides of it.
    for (std::size_t j = std::max(block.col, block.row + block.rows); j < stop; ++j) {
      for (std::size_t r = 0; r < block.rows; ++r) {
        out[j * z.rows + block.row + r] = block.dots[r * kBlockCols<T> + j - block.col];
      }
    }
  });
}

template <class T>
Half half_of(const MatrixView<T>& x, const MatrixView<T>& z) {
  const bool same = x.data == z.data && x.rows == z.rows && x.row_stride == z.row_stride && x.col_stride == z.col_stride;
  return same ? Half::mirrored : Half::none;
}

// The columns of coef one after another, each padded with zeros to whole blocks.
template <class T>
Buffer<T> padded_columns(const MatrixView<T>& coef, std::size_t padded) {
  Buffer<T> columns(padded * coef.cols);
  std::fill_n(columns.data(), padded * coef.cols, T{0});
  for (std::size_t j = 0; j < coef.rows; ++j) {
    for (std::size_t t = 0; t < coef.cols; ++t) {
      if (!std::isfinite(coef(j, t))) throw std::invalid_argument("The coefficients must be finite numbers.");
      columns[t * padded + j] = coef(j, t);
    }
  }
  return columns;
}

}  // namespace

template <class T>
void squared_distances(const MatrixView<T>& x, const MatrixView<T>& z, T* out, std::size_t threads) {
  fill_matrix<T>(x, z, half_of(x, z), ToDistances{}, out, threads);
}

template <class T>
void rbf_kernel(const MatrixView<T>& x, const MatrixView<T>& z, double gamma, T* out, std::size_t threads) {
  fill_matrix<T>(x, z, half_of(x, z), ToRbf<T>{checked_gamma<T>(gamma)}, out, threads);
}

template <class T>
void rbf_kernel_upper(const MatrixView<T>& x, double gamma, double* out, std::size_t threads) {
  fill_matrix<double>(x, x, Half::computed, ToRbf<double>{checked_gamma<double>(gamma)}, out, threads);
}

template <class T>
void rbf_matvec(const MatrixView<T>& x, const MatrixView<T>& z, const MatrixView<T>& coef, double gamma, T* out,
                std::size_t threads) {
  const ToRbf<T> finish{checked_gamma<T>(gamma)};
  const std::size_t targets = coef.cols;
  const std::size_t padded = (z.rows + kBlockCols<T> - 1) / kBlockCols<T> * kBlockCols<T>;
  const Buffer<T> columns = padded_columns(coef, padded);
  std::vector<double> sums(x.rows * targets, 0.0);
  for_each_block<T>(x, z, Part::all, threads, [&](Block<T>& block) {
    const std::size_t nr = kernels<T>().nr;
    const std::size_t whole = (block.cols + nr - 1) / nr * nr;
    for (std::size_t r = 0; r < block.rows; ++r) {
      T* const row = block.dots + r * kBlockCols<T>;
      finish(block, r);
      std::fill(row + block.cols, row + whole, T{0});
      for (std::size_t t = 0; t < targets; ++t) {
        sums[(block.row + r) * targets + t] += kernels<T>().dot(row, columns.data() + t * padded + block.col, whole);
      }
    }
  });
  std::ranges::transform(sums, out, [](double sum) { return static_cast<T>(sum); });
}

#define SSIQA_INSTANTIATE(T)                                                                                       \
  template void squared_distances(const MatrixView<T>&, const MatrixView<T>&, T*, std::size_t);                    \
  template void rbf_kernel(const MatrixView<T>&, const MatrixView<T>&, double, T*, std::size_t);                   \
  template void rbf_kernel_upper(const MatrixView<T>&, double, double*, std::size_t);                              \
  template void rbf_matvec(const MatrixView<T>&, const MatrixView<T>&, const MatrixView<T>&, double, T*, std::size_t);
SSIQA_INSTANTIATE(float)
SSIQA_INSTANTIATE(double)

}  // namespace ssiqa
