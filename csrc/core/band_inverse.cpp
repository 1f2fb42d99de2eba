#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "band.h"
#include "buffer.h"
#include "pages.h"
#include "threads.h"

namespace ssiqa {
namespace {

// Q in panels of nr columns: number (row, c) of a panel is at row * nr + c. Made from the last reflectors to the first,
// so that those of block j meet only columns and rows from j on.
template <class T>
class Orthogonal {
 public:
  Orthogonal(const Reflectors<const double>& q, std::size_t threads)
      : q_(q),
        order_(q.order()),
        transposed_(reflector_numbers(q.blocks)),
        negative_(transposed_.size()),
        numbers_(order_ * order_) {
    const double work = static_cast<double>(order_) * static_cast<double>(order_) * kBandWidth;
    parallel_for(q.blocks - 1, work, threads, [&](std::size_t j) { pack(j + 1); });
    parallel_for((order_ + kTile - 1) / kTile, work * static_cast<double>(q.blocks), threads, [&](std::size_t task) {
      const std::size_t column = ((order_ - 1) / kTile - task) * kTile;  // the last take longest
      fill(column, std::min(column + kTile, order_));
    });
    LargeVector<T>().swap(transposed_);  // no longer needed
    LargeVector<T>().swap(negative_);
  }

  // Columns from `column` on, a multiple of nr, in rows from `row` on: kBandWidth features for each.
  Grouped<T> rows(std::size_t row, std::size_t column) const {
    return {numbers_.data() + column * order_ + row * nr_, nr_, kBandWidth / nr_, nr_, order_ * nr_};
  }

 private:
  T* panel_of(std::size_t column) { return numbers_.data() + column * order_; }
  std::size_t offset_of(std::size_t j) const { return static_cast<std::size_t>(q_.vectors_of(j) - q_.vectors); }

  // V' and -V T of block j as left panels; V' apart for each tile of its rows.
  void pack(std::size_t j) {
    const std::size_t start = j * kBandWidth;
    const std::size_t rows = q_.rows(j);
    const double* const v = q_.vectors_of(j);
    const double* const t = q_.corner_of(j);
    T* const transposed = transposed_.data() + offset_of(j);
    T* const negative = negative_.data() + offset_of(j);
    for (std::size_t i = 0; i < rows; ++i) {
      const std::size_t tile = (start + i) / kTile * kTile;
      const std::size_t begin = std::max(tile, start) - start;
      const std::size_t height = std::min(tile + kTile, order_) - start - begin;
      double product[kBandWidth] = {};
      for (std::size_t k = 0; k < kBandWidth; ++k) {
        const double value = v[k * rows + i];
        transposed[begin * kBandWidth + (k / mr_ * height + i - begin) * mr_ + k % mr_] = static_cast<T>(value);
        for (std::size_t c = k; c < kBandWidth; ++c) product[c] += value * t[k * kBandWidth + c];
      }
      for (std::size_t c = 0; c < kBandWidth; ++c) {
        negative[(i / mr_ * kBandWidth + c) * mr_ + i % mr_] = static_cast<T>(-product[c]);
      }
    }
  }

  // Columns [begin, end) of Q. Each pass takes the share of one block and, while a tile is in the cache, forms the
  // product with the next.
  void fill(std::size_t begin, std::size_t end) {
    std::fill_n(panel_of(begin), (end - begin) * order_, T{0});
    for (std::size_t c = begin; c < end; ++c) panel_of(c / nr_ * nr_)[c * nr_ + c % nr_] = 1;
    Buffer<T> shares(kTile * kBandWidth);  // V' times each column
    Buffer<T> next(kTile * kBandWidth);
    const std::size_t last = (end - 1) / kBandWidth;
    for (std::size_t j = last + 1; j-- > 0;) {
      for (std::size_t tile = j * kBandWidth / kTile * kTile; tile < order_; tile += kTile) {
        const std::size_t stop = std::min(tile + kTile, order_);
        for (std::size_t column = std::max(begin, j * kBandWidth); column < end; column += nr_) {
          const std::size_t place = (column - begin) * kBandWidth;
          if (j < last && column >= (j + 1) * kBandWidth) subtract(j + 1, tile, stop, column, shares.data() + place);
          if (j > 0) multiply(j, tile, stop, column, next.data() + place);
        }
      }
      std::swap(shares, next);
    }
  }

  // share = or += V_j' times the rows [tile, stop) of a panel of columns.
  void multiply(std::size_t j, std::size_t tile, std::size_t stop, std::size_t column, T* share) {
    const std::size_t start = j * kBandWidth;
    const std::size_t row = std::max(tile, start);
    kernel_.dots(transposed_.data() + offset_of(j) + (row - start) * kBandWidth, kBandWidth / mr_,
                 panel_of(column) + row * nr_, 1, stop - row, share, nr_, row > start);
  }

  // The same rows -= V_j T_j share.
  void subtract(std::size_t j, std::size_t tile, std::size_t stop, std::size_t column, const T* share) {
    const std::size_t start = j * kBandWidth;
    const std::size_t row = std::max(tile, start);
    if (row >= stop) return;
    kernel_.dots(negative_.data() + offset_of(j) + (row - start) * kBandWidth, (stop - row) / mr_, share, 1, kBandWidth,
                 panel_of(column) + row * nr_, nr_, true);
  }

  const Kernels<T>& kernel_ = kernels<T>();
  const std::size_t mr_ = kernel_.mr;
  const std::size_t nr_ = kernel_.nr;
  Reflectors<const double> q_;
  std::size_t order_;
  LargeVector<T> transposed_;
  LargeVector<T> negative_;
  LargeVector<T> numbers_;
};

// Blocks, one after another, as right panels of their rows.
template <class T>
Buffer<T> as_right_panels(const double* blocks, std::size_t count, double sign) {
  const std::size_t nr = kernels<T>().nr;
  Buffer<T> panels(count * kBandBlock);
  for (std::size_t b = 0; b < count; ++b) {
    for (std::size_t row = 0; row < kBandWidth; ++row) {
      for (std::size_t k = 0; k < kBandWidth; ++k) {
        panels[b * kBandBlock + (row / nr * kBandWidth + k) * nr + row % nr] =
            static_cast<T>(sign * blocks[b * kBandBlock + row * kBandWidth + k]);
      }
    }
  }
  return panels;
}

// Forms of the rows of Q from `row` on, at most kTile of them.
template <class T>
class Forms {
 public:
  Forms(const Orthogonal<T>& q, std::size_t blocks, std::size_t row)
      : q_(q), blocks_(blocks), row_(row), count_(std::min(kTile, blocks * kBandWidth - row)) {}

  // q' q for the first of them.
  std::vector<double> squares(std::size_t kept) const {
    std::vector<double> sums(kept, 0.0);
    for (std::size_t j = 0; j < blocks_; ++j) {
      const Grouped<T> own = q_.rows(row_, j * kBandWidth);
      for (std::size_t g = 0; g < own.groups; ++g) {
        for (std::size_t i = 0; i < kept; ++i) {
          const T* const some = own.data + g * own.group_stride + i * own.row_stride;
          sums[i] += kernel_.dot(some, some, own.group);
        }
      }
    }
    return sums;
  }

  // |L^-1 q|^2 for the first of them, where L is given by its blocks as right panels, the step with the opposite sign.
  std::vector<double> solved_squares(const T* inverse, const T* step, std::size_t kept) {
    std::vector<double> sums(kept, 0.0);
    for (std::size_t j = 0; j < blocks_; ++j) {
      product(q_.rows(row_, j * kBandWidth), inverse + j * kBandBlock, false);
      if (j > 0) product({before_.data(), kBandWidth, 1, kBandWidth, 0}, step + j * kBandBlock, true);
      for (std::size_t i = 0; i < kept; ++i) {
        sums[i] += kernel_.dot(now_.data() + i * kBandWidth, now_.data() + i * kBandWidth, kBandWidth);
      }
      std::swap(before_, now_);
    }
    return sums;
  }

 private:
  void product(const Grouped<T>& left, const T* right, bool accumulate) {
    kernel_.grouped_dots(left, count_, right, kBandWidth * kernel_.nr, kBandWidth / kernel_.nr, now_.data(), kBandWidth,
                         accumulate);
  }

  const Kernels<T>& kernel_ = kernels<T>();
  const Orthogonal<T>& q_;
  std::size_t blocks_;
  std::size_t row_;
  std::size_t count_;  // whole groups of mr
  Buffer<T> before_ = Buffer<T>(kTile * kBandWidth);  // block j - 1 of L^-1 q for these rows, one after another
  Buffer<T> now_ = Buffer<T>(kTile * kBandWidth);
};

}  // namespace

template <class T>
void inverse_diagonal(const Reflectors<const double>& q, const BandFactors& factors, std::size_t rows, double* out,
                      std::size_t threads) {
  const Orthogonal<T> orthogonal(q, threads);
  const Buffer<T> inverse = as_right_panels<T>(factors.inverse, factors.count * q.blocks, 1);
  const Buffer<T> step = as_right_panels<T>(factors.step, factors.count * q.blocks, -1);
  const double work = 4.0 * kBandWidth * static_cast<double>(rows * q.order() * factors.count);
  parallel_for((rows + kTile - 1) / kTile, work, threads, [&](std::size_t task) {
    const std::size_t row = task * kTile;
    const std::size_t kept = std::min(kTile, rows - row);
    Forms<T> forms(orthogonal, q.blocks, row);
    const std::vector<double> lengths = forms.squares(kept);
    for (std::size_t a = 0; a < factors.count; ++a) {
      const std::size_t first = a * q.blocks * kBandBlock;
      const std::vector<double> sums = forms.solved_squares(inverse.data() + first, step.data() + first, kept);
      std::ranges::transform(sums, lengths, out + a * rows + row, std::divides<>{});
    }
  });
}

template void inverse_diagonal<float>(const Reflectors<const double>&, const BandFactors&, std::size_t, double*,
                                      std::size_t);
template void inverse_diagonal<double>(const Reflectors<const double>&, const BandFactors&, std::size_t, double*,
                                       std::size_t);

}  // namespace ssiqa
