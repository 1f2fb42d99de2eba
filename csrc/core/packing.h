// Centred copies of rows in the panel order that the inner loops read, with their squared norms.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <vector>

#include "buffer.h"
#include "kernels.h"
#include "threads.h"
#include "view.h"

namespace ssiqa {

// The features in blocks of at most kFeatureBlock, about equal and beginning at multiples of `step`; one empty block if
// there are none.
class FeatureBlocks {
 public:
  explicit FeatureBlocks(std::size_t features, std::size_t step = 1)
      : features_(features),
        step_(step),
        steps_((features + step - 1) / step),
        count_(std::max<std::size_t>(1, (features + kFeatureBlock - 1) / kFeatureBlock)) {}

  std::size_t count() const { return count_; }
  std::size_t begin(std::size_t block) const { return std::min(padded_begin(block), features_); }
  std::size_t size(std::size_t block) const { return begin(block + 1) - begin(block); }
  std::size_t largest() const { return (steps_ + count_ - 1) / count_ * step_; }

  // The same where the last one is padded to a whole step.
  std::size_t padded_begin(std::size_t block) const { return steps_ * block / count_ * step_; }
  std::size_t padded_size(std::size_t block) const { return padded_begin(block + 1) - padded_begin(block); }

 private:
  std::size_t features_;
  std::size_t step_;
  std::size_t steps_;
  std::size_t count_;
};

// The mean of the columns, rounded to T. Distances do not depend on the origin, but their rounding does: norms are smallest
// around the mean. Any point near it serves, so the differences may be taken in T.
template <class T, class S>
std::vector<T> centre_of(const MatrixView<S>& x) {
  std::vector<double> sums(x.cols, 0.0);
  for (std::size_t i = 0; i < x.rows; ++i) {
    for (std::size_t k = 0; k < x.cols; ++k) sums[k] += static_cast<double>(x(i, k));
  }
  std::vector<T> centre(x.cols);
  const double rows = static_cast<double>(std::max<std::size_t>(x.rows, 1));
  std::ranges::transform(sums, centre.begin(), [rows](double sum) { return static_cast<T>(sum / rows); });
  return centre;
}

enum class Side { left, right };

// Rows of a matrix of S, held as panels of products<T>() for one side of a product.
template <class T>
class PackedRows {
 public:
  PackedRows(std::size_t capacity, std::size_t features, Side side)
      : side_(side),
        width_(side == Side::left ? products<T>().mr : products<T>().nr),
        blocks_(features, products<T>().feature_step),
        padded_((capacity + width_ - 1) / width_ * width_),
        panels_(padded_ * blocks_.padded_begin(blocks_.count()) * products<T>().feature_bytes),
        norms_(padded_) {}

  std::size_t panels() const { return padded_ / width_; }
  const T* norms() const { return norms_.data(); }
  const void* panel(std::size_t block, std::size_t p) const { return panels_.data() + offset(block, p); }

  // Throws std::invalid_argument unless every squared norm is finite, with room for the sums that follow.
  template <class S>
  void fill(const MatrixView<S>& x, std::size_t first, std::size_t rows, const std::vector<T>& centre,
            std::size_t threads) {
    constexpr std::size_t kPanelsPerTask = 8;
    padded_ = (rows + width_ - 1) / width_ * width_;
    const std::size_t tasks = (panels() + kPanelsPerTask - 1) / kPanelsPerTask;
    parallel_for(tasks, 4.0 * static_cast<double>(rows * x.cols), threads, [&](std::size_t task) {
      Buffer<T> centred(width_ * blocks_.largest());
      const std::size_t end = std::min(panels(), (task + 1) * kPanelsPerTask);
      for (std::size_t p = task * kPanelsPerTask; p < end; ++p) {
        fill_panel(x, first + p * width_, std::min(width_, rows - p * width_), centre, p, centred.data());
      }
    });
  }

 private:
  std::size_t offset(std::size_t block, std::size_t p) const {
    const std::size_t places = blocks_.padded_begin(block) * padded_ + p * width_ * blocks_.padded_size(block);
    return places * products<T>().feature_bytes;
  }

  template <class S>
  void fill_panel(const MatrixView<S>& x, std::size_t first, std::size_t rows, const std::vector<T>& centre,
                  std::size_t p, T* centred) {
    T* const norms = norms_.data() + p * width_;
    const auto pack = side_ == Side::left ? products<T>().pack_left : products<T>().pack_right;
    for (std::size_t b = 0; b < blocks_.count(); ++b) {
      const std::size_t size = blocks_.size(b);
      for (std::size_t r = 0; r < rows; ++r) {
        centre_row(x, first + r, centre.data(), blocks_.begin(b), size, centred + r * size);
      }
      pack(centred, rows, size, panels_.data() + offset(b, p), norms, b > 0);
    }
    for (std::size_t r = 0; r < rows; ++r) {
      if (!(norms[r] <= std::numeric_limits<T>::max() / 4)) {
        throw std::invalid_argument("The rows must hold finite numbers whose squares do not overflow their type.");
      }
    }
  }

  template <class S>
  static void centre_row(const MatrixView<S>& x, std::size_t row, const T* centre, std::size_t begin,
                         std::size_t size, T* out) {
    const S* const from = x.row(row) + static_cast<std::ptrdiff_t>(begin) * x.col_stride;  // may be null without features
    centre += begin;
    if (x.col_stride == 1) {  // apart, because the compiler can then use vectors
      for (std::size_t k = 0; k < size; ++k) out[k] = static_cast<T>(from[k]) - centre[k];
    } else {
      for (std::size_t k = 0; k < size; ++k) out[k] = static_cast<T>(x(row, begin + k)) - centre[k];
    }
  }

  Side side_;
  std::size_t width_;
  FeatureBlocks blocks_;
  std::size_t padded_;
  Buffer<std::byte> panels_;
  Buffer<T> norms_;
};

}  // namespace ssiqa
