// The lower triangle of a symmetric matrix in square tiles, each of them in the order in which products read it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "kernels.h"

namespace ssiqa {

// Rows and columns of a tile: one block of features, and a multiple of every `mr` and `nr`.
inline constexpr std::size_t kTile = kFeatureBlock;

inline std::size_t padded_rows(std::size_t rows) { return (rows + kTile - 1) / kTile * kTile; }

// Tile (i, j), i >= j, is kTile / nr right panels one after another: entry (row, col) of the tile is number row % nr of
// line `col` of panel row / nr. Only the panels that hold rows are in use, and of a tile on the diagonal only the
// columns up to the end of each panel. Rows and columns beyond the order hold nothing but a positive diagonal.
template <class T>
class Triangle {
 public:
  explicit Triangle(std::size_t order)
      : order_(order), tiles_(padded_rows(order) / kTile), nr_(kernels<T>().nr), data_(allocate(tiles_)) {}

  std::size_t order() const { return order_; }
  std::size_t tiles() const { return tiles_; }
  std::size_t padded() const { return tiles_ * kTile; }
  std::size_t nr() const { return nr_; }
  // Panels in use in the tiles of row i. They hold the same rows for each T: a panel of float holds whole panels of double.
  std::size_t panels(std::size_t i) const {
    const std::size_t widest = kernels<float>().nr;
    return (std::min(kTile, order_ - i * kTile) + widest - 1) / widest * widest / nr_;
  }

  T* tile(std::size_t i, std::size_t j) { return data_.get() + (i * (i + 1) / 2 + j) * kTile * kTile; }
  const T* tile(std::size_t i, std::size_t j) const { return data_.get() + (i * (i + 1) / 2 + j) * kTile * kTile; }
  T* panel(std::size_t i, std::size_t j, std::size_t p) { return tile(i, j) + p * nr_ * kTile; }
  const T* panel(std::size_t i, std::size_t j, std::size_t p) const { return tile(i, j) + p * nr_ * kTile; }

  // Entry (row, col) of the matrix, col <= row.
  T& operator()(std::size_t row, std::size_t col) {
    return panel(row / kTile, col / kTile, row % kTile / nr_)[col % kTile * nr_ + row % nr_];
  }
  const T& operator()(std::size_t row, std::size_t col) const {
    return panel(row / kTile, col / kTile, row % kTile / nr_)[col % kTile * nr_ + row % nr_];
  }

 private:
  // A large matrix is hundreds of megabytes: pages of the common size cost more to obtain than a product with it.
  static constexpr std::size_t kHugePage = std::size_t{2} << 20U;
  static constexpr std::size_t kLine = 64;
  struct Free {
    std::size_t alignment;
    void operator()(T* p) const { ::operator delete(p, std::align_val_t{alignment}); }
  };
  static std::unique_ptr<T, Free> allocate(std::size_t tiles) {
    const std::size_t bytes = tiles * (tiles + 1) / 2 * kTile * kTile * sizeof(T);
    const std::size_t alignment = bytes > kHugePage ? kHugePage : kLine;
    void* const memory = ::operator new(bytes, std::align_val_t{alignment});
#ifdef __linux__
    if (alignment == kHugePage) madvise(memory, bytes, MADV_HUGEPAGE);  // a wish: nothing depends on it
#endif
    return {static_cast<T*>(memory), Free{alignment}};
  }

  std::size_t order_;
  std::size_t tiles_;
  std::size_t nr_;
  std::unique_ptr<T, Free> data_;
};

// y = A x for each of `count` vectors of padded() numbers, one after another, in one pass over the triangle. Sums run in
// the same order for any number of threads.
template <class T>
void multiply(const Triangle<T>& a, const T* x, T* y, std::size_t count, std::size_t threads);

// The largest row sum of a matrix without negative entries.
double one_norm(const Triangle<double>& a, std::size_t threads);

// A copy in To.
template <class To>
Triangle<To> converted(const Triangle<double>& from, std::size_t threads);

}  // namespace ssiqa
