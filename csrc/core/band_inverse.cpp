#include <algorithm>
#include <vector>

#include "band.h"
#include "buffer.h"
#include "pages.h"

namespace ssiqa {
namespace {

// Q in panels of nr columns: number (row, c) of a panel is at row * nr + c. Made from the last reflectors to the first,
// so that those of block j meet only columns and rows from j on.
template <class T>
class Orthogonal {
 public:
  explicit Orthogonal(const Reflectors<const double>& q)
      : q_(q),
        order_(q.order()),
        transposed_(reflector_numbers(q.blocks)),
        negative_(transposed_.size()),
        numbers_(order_ * order_) {
    for (std::size_t j = 1; j < q.blocks; ++j) pack(j);
    for (std::size_t column = 0; column < order_; column += kTile) fill(column, std::min(column + kTile, order_));
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

}  // namespace

template <class T>
void inverse_diagonal(const Reflectors<const double>& q, const BandFactors& factors, std::size_t rows, double* out) {
  const Kernels<T>& kernel = kernels<T>();
  const Orthogonal<T> orthogonal(q);
  const std::size_t blocks = q.blocks;
  const Buffer<T> inverse = as_right_panels<T>(factors.inverse, factors.count * blocks, 1);
  const Buffer<T> step = as_right_panels<T>(factors.step, factors.count * blocks, -1);
  Buffer<T> before(kTile * kBandWidth);  // block j - 1 of L^-1 q for some rows q
  Buffer<T> now(kTile * kBandWidth);
  const auto product = [&](const Grouped<T>& left, std::size_t count, const T* right, bool accumulate) {
    kernel.grouped_dots(left, count, right, kBandWidth * kernel.nr, kBandWidth / kernel.nr, now.data(), kBandWidth,
                        accumulate);
  };
  std::vector<double> squared(kTile);
  for (std::size_t row = 0; row < rows; row += kTile) {
    const std::size_t count = std::min(kTile, q.order() - row);  // whole groups of mr; those beyond `rows` are not kept
    const std::size_t kept = std::min(kTile, rows - row);
    std::ranges::fill(squared, 0.0);
    for (std::size_t column = 0; column < q.order(); column += kBandWidth) {
      const Grouped<T> own = orthogonal.rows(row, column);
      for (std::size_t g = 0; g < own.groups; ++g) {
        for (std::size_t i = 0; i < kept; ++i) {
          const T* const some = own.data + g * own.group_stride + i * own.row_stride;
          squared[i] += kernel.dot(some, some, own.group);
        }
      }
    }
    for (std::size_t a = 0; a < factors.count; ++a) {
      double* const sums = out + a * rows + row;
      std::fill_n(sums, kept, 0.0);
      for (std::size_t j = 0; j < blocks; ++j) {
        const std::size_t block = (a * blocks + j) * kBandBlock;
        product(orthogonal.rows(row, j * kBandWidth), count, inverse.data() + block, false);
        if (j > 0) product({before.data(), kBandWidth, 1, kBandWidth, 0}, count, step.data() + block, true);
        for (std::size_t i = 0; i < kept; ++i) {
          sums[i] += kernel.dot(now.data() + i * kBandWidth, now.data() + i * kBandWidth, kBandWidth);
        }
        std::swap(before, now);
      }
      for (std::size_t i = 0; i < kept; ++i) sums[i] /= squared[i];
    }
  }
}

template void inverse_diagonal<float>(const Reflectors<const double>&, const BandFactors&, std::size_t, double*);
template void inverse_diagonal<double>(const Reflectors<const double>&, const BandFactors&, std::size_t, double*);

}  // namespace ssiqa
