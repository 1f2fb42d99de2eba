#include <algorithm>
#include <cmath>
#include <vector>

#include "band.h"
#include "buffer.h"
#include "rbf.h"

namespace ssiqa {
namespace {

constexpr std::size_t kPair = 2 * kBandWidth;

// What is left of a column counts as 0 below this squared length: its squares would lose digits to underflow, and the
// reflector its orthogonality, for entries that are far below the rounding of a matrix with ones on its diagonal.
constexpr double kNothing = 1e-280;

// The QR factorisation of columns, one after another `rows` apart: V and T of I - V T V', and the triangle R, row by row.
// The columns are overwritten.
void factor_columns(double* columns, std::size_t rows, double* v, double* t, double* r) {
  const Kernels<double>& kernel = kernels<double>();
  std::fill_n(t, kBandBlock, 0.0);
  std::fill_n(r, kBandBlock, 0.0);
  for (std::size_t c = 0; c < kBandWidth; ++c) {
    double* const column = columns + c * rows;
    double* const reflector = v + c * rows;
    const std::size_t first = c / kernel.nr * kernel.nr;  // V is 0 from here to c, and whole panels follow
    const std::size_t count = rows - first;
    std::fill_n(reflector, c + 1, 0.0);
    std::copy(column + c + 1, column + rows, reflector + c + 1);
    const double rest = kernel.dot(reflector + first, reflector + first, count);
    double pivot = column[c];
    double factor = 0;
    if (rest > kNothing) {
      const double length = std::copysign(std::sqrt(pivot * pivot + rest), pivot);
      const double scale = 1 / (pivot + length);
      for (std::size_t i = c + 1; i < rows; ++i) reflector[i] *= scale;
      factor = (pivot + length) / length;
      pivot = -length;
    }
    reflector[c] = 1;
    for (std::size_t k = 0; k < c; ++k) r[k * kBandWidth + c] = column[k];
    r[c * kBandWidth + c] = pivot;
    for (std::size_t d = c + 1; d < kBandWidth; ++d) {
      double* __restrict const other = columns + d * rows;
      const double* __restrict const from = reflector;
      const double share = factor * kernel.dot(from + first, other + first, count);
      for (std::size_t i = first; i < rows; ++i) other[i] -= share * from[i];
    }
    t[c * kBandWidth + c] = factor;
  }
  // Column c of T: -T_cc T V' v_c, of the columns before it.
  for (std::size_t c = 1; c < kBandWidth; ++c) {
    const std::size_t first = c / kernel.nr * kernel.nr;
    double shares[kBandWidth];
    for (std::size_t k = 0; k < c; ++k) shares[k] = kernel.dot(v + k * rows + first, v + c * rows + first, rows - first);
    for (std::size_t row = 0; row < c; ++row) {
      double sum = 0;
      for (std::size_t k = row; k < c; ++k) sum += t[row * kBandWidth + k] * shares[k];
      t[row * kBandWidth + c] = -t[c * kBandWidth + c] * sum;
    }
  }
}

// One step after another: reflectors V that clear the columns of a block, the product A V of the rest, W of the update
// A - V W' - W V', which is made in the pass over the matrix that the next step's product needs.
class Reduction {
 public:
  explicit Reduction(Triangle<double>& a)
      : a_(a),
        order_(a.order()),
        pairs_(a.padded() * kPair),
        negative_(a.padded() * kPair),
        across_(a.padded() * kBandWidth),
        left_(a.padded() * kBandWidth),
        product_(a.padded() * kBandWidth),
        mirrored_(a.padded() * kBandWidth) {}

  // Columns [start, start + kBandWidth) from row `start` on, one after another, after the updates so far; entries above the
  // diagonal of the first rows may be missing.
  void read_columns(std::size_t start, double* columns) const {
    const std::size_t rows = order_ - start;
    const std::size_t tile = start / kTile;
    const std::size_t line = start % kTile;
    Buffer<double> panel(kBandWidth * nr_);
    for (std::size_t q = start / nr_; q < order_ / nr_; ++q) {
      const std::size_t row = q * nr_;
      const std::size_t lines = std::min(kBandWidth, row + nr_ - start);
      const double* const from = a_.panel(row / kTile, tile, row % kTile / nr_) + line * nr_;
      std::copy_n(from, lines * nr_, panel.data());
      if (start > 0) subtract_update(q, start, lines, panel.data());
      for (std::size_t c = 0; c < kBandWidth; ++c) {
        double* const to = columns + c * rows + row - start;
        for (std::size_t r = 0; r < nr_; ++r) to[r] = c < lines ? panel[c * nr_ + r] : 0.0;
      }
    }
  }

  // Applies I - V T V' from both sides to the rows and columns from `start` on, but for the update of the matrix itself.
  void reflect(std::size_t start, const double* v, const double* t) {
    place(start, v);
    pass(start);
    pair(start, v, t);
  }

 private:
  double* pair_panel(std::size_t q) { return pairs_.data() + q * nr_ * kPair; }
  double* product_panel(std::size_t q) { return product_.data() + q * nr_ * kBandWidth; }

  // lines (of columns from `column` on) of panel q of the matrix += -(V W' + W V').
  void subtract_update(std::size_t q, std::size_t column, std::size_t lines, double* panel) const {
    kernel_.dots(negative_.data() + column * kPair, lines / mr_, pairs_.data() + q * nr_ * kPair, 1, kPair, panel, nr_,
                 true);
  }

  // V in the two orders in which the pass reads it.
  void place(std::size_t start, const double* v) {
    const std::size_t rows = order_ - start;
    for (std::size_t row = start; row < order_;) {
      const std::size_t tile = row / kTile * kTile;
      const std::size_t count = std::min(tile + kTile, order_) - row;
      for (std::size_t c = 0; c < kBandWidth; ++c) {
        const double* const from = v + c * rows + row - start;
        double* const right = across_.data() + tile * kBandWidth + (c / nr_ * kTile + row - tile) * nr_ + c % nr_;
        double* const left = left_.data() + tile * kBandWidth + (c / mr_ * kTile + row - tile) * mr_ + c % mr_;
        for (std::size_t i = 0; i < count; ++i) right[i * nr_] = left[i * mr_] = from[i];
      }
      row += count;
    }
  }

  // In one pass over the matrix: the update that the step before left over, and the product with V. Its part from entries
  // below the diagonal comes as panels, that from their mirror images row by row.
  void pass(std::size_t start) {
    const std::size_t first_tile = start / kTile;
    const std::size_t done = start % kTile;
    std::fill_n(product_.data() + first_tile * kTile * kBandWidth, (a_.padded() - first_tile * kTile) * kBandWidth, 0.0);
    std::fill_n(mirrored_.data() + first_tile * kTile * kBandWidth, (a_.padded() - first_tile * kTile) * kBandWidth, 0.0);
    for (std::size_t j = first_tile; j < a_.tiles(); ++j) {
      const std::size_t line = j == first_tile ? done : 0;
      for (std::size_t i = j; i < a_.tiles(); ++i) {
        const std::size_t begin = i == first_tile ? done / nr_ : 0;
        for (std::size_t p = begin; p < a_.panels(i); ++p) {
          const std::size_t stop = i == j ? (p + 1) * nr_ : kTile;
          if (start > kBandWidth) {
            subtract_update(i * kTile / nr_ + p, j * kTile + line, stop - line, a_.panel(i, j, p) + line * nr_);
          }
          multiply_panel(i, j, line, stop, p);
          if (i == j && p * nr_ > line) multiply_mirrored(i, j, line, p * nr_, p, p + 1);
        }
        if (i > j) multiply_mirrored(i, j, line, kTile, begin, a_.panels(i));
      }
    }
  }

  // Panel p of tile row i += its part of tile (i, j), from column `line` to `stop`, times V.
  void multiply_panel(std::size_t i, std::size_t j, std::size_t line, std::size_t stop, std::size_t p) {
    const double* const right = a_.panel(i, j, p) + line * nr_;
    double* const product = product_panel(i * kTile / nr_ + p);
    for (std::size_t c = 0; c < kBandWidth; c += mr_) {
      const double* const left = left_.data() + (j * kBandWidth + c) * kTile + line * mr_;
      kernel_.dots(left, 1, right, 1, stop - line, product + c * nr_, nr_, true);
    }
  }

  // Rows `line` to `stop` of tile j += the transposed panels [begin, end) of tile (i, j) times V.
  void multiply_mirrored(std::size_t i, std::size_t j, std::size_t line, std::size_t stop, std::size_t begin,
                         std::size_t end) {
    const Grouped<double> left{a_.panel(i, j, begin) + line * nr_, nr_, end - begin, nr_, nr_ * kTile};
    kernel_.grouped_dots(left, stop - line, across_.data() + i * kTile * kBandWidth + begin * nr_ * nr_, kTile * nr_,
                         kBandWidth / nr_, mirrored_.data() + (j * kTile + line) * kBandWidth, kBandWidth, true);
  }

  // W = X - V T' V' X / 2 with X = A V T, beside V; and both once more as left panels.
  void pair(std::size_t start, const double* v, const double* t) {
    const std::size_t rows = order_ - start;
    const std::size_t last = order_ / nr_;
    Buffer<double> left(kBandBlock);
    as_left_panels([t](std::size_t c, std::size_t k) { return t[k * kBandWidth + c]; }, left.data());
    for (std::size_t q = start / nr_; q < last; ++q) {
      double* const product = product_panel(q);
      double* const panel = pair_panel(q);
      for (std::size_t c = 0; c < kBandWidth; ++c) {
        for (std::size_t r = 0; r < nr_; ++r) {
          product[c * nr_ + r] += mirrored_[(q * nr_ + r) * kBandWidth + c];
          panel[c * nr_ + r] = v[c * rows + q * nr_ + r - start];
        }
      }
      kernel_.dots(left.data(), kBandWidth / mr_, product, 1, kBandWidth, panel + kBandWidth * nr_, nr_, false);
    }
    const Buffer<double> correction = half_overlap(start, t);
    as_left_panels([&](std::size_t c, std::size_t k) { return -correction[k * kBandWidth + c]; }, left.data());
    for (std::size_t q = start / nr_; q < last; ++q) {
      double* const panel = pair_panel(q);
      kernel_.dots(left.data(), kBandWidth / mr_, panel, 1, kBandWidth, panel + kBandWidth * nr_, nr_, true);
      negate_swapped(q);
    }
  }

  // T' V' X / 2, row by row.
  Buffer<double> half_overlap(std::size_t start, const double* t) {
    Buffer<double> overlap(kBandBlock);  // X' V
    std::fill_n(overlap.data(), kBandBlock, 0.0);
    for (std::size_t row = start; row < order_;) {
      const std::size_t stop = std::min(row / kTile * kTile + kTile, order_);
      const Grouped<double> left{pair_panel(row / nr_) + kBandWidth * nr_, nr_, (stop - row) / nr_, nr_, nr_ * kPair};
      const double* const right = across_.data() + row / kTile * kTile * kBandWidth + row % kTile * nr_;
      kernel_.grouped_dots(left, kBandWidth, right, kTile * nr_, kBandWidth / nr_, overlap.data(), kBandWidth, true);
      row = stop;
    }
    Buffer<double> half(kBandBlock);
    for (std::size_t a = 0; a < kBandWidth; ++a) {
      for (std::size_t c = 0; c < kBandWidth; ++c) {
        double sum = 0;
        for (std::size_t k = 0; k <= a; ++k) sum += t[k * kBandWidth + a] * overlap[c * kBandWidth + k];
        half[a * kBandWidth + c] = sum / 2;
      }
    }
    return half;
  }

  // Left panels of a square of kBandWidth rows c and as many features k.
  template <class Entry>
  void as_left_panels(const Entry& entry, double* left) const {
    for (std::size_t c = 0; c < kBandWidth; ++c) {
      for (std::size_t k = 0; k < kBandWidth; ++k) left[(c / mr_ * kBandWidth + k) * mr_ + c % mr_] = entry(c, k);
    }
  }

  void negate_swapped(std::size_t q) {
    const double* const panel = pair_panel(q);
    for (std::size_t r = 0; r < nr_; r += mr_) {
      double* const to = negative_.data() + (q * nr_ + r) * kPair;
      for (std::size_t k = 0; k < kPair; ++k) {
        const double* const from = panel + (k + kBandWidth) % kPair * nr_ + r;
        for (std::size_t i = 0; i < mr_; ++i) to[k * mr_ + i] = -from[i];
      }
    }
  }

  const Kernels<double>& kernel_ = kernels<double>();
  const std::size_t mr_ = kernel_.mr;
  const std::size_t nr_ = kernel_.nr;
  Triangle<double>& a_;
  std::size_t order_;
  Buffer<double> pairs_;     // right panels of [V W]
  Buffer<double> negative_;  // left panels of -[W V]
  Buffer<double> across_;    // for each tile, right panels of V': its rows are the features
  Buffer<double> left_;      // for each tile, left panels of the same
  Buffer<double> product_;   // right panels of A V; during a pass, what comes from the half of A that is stored
  Buffer<double> mirrored_;  // what comes from the other half, row by row
};

// The first rows of the columns are a block of the diagonal, of which the lower half is right.
void take_diagonal(const double* columns, std::size_t rows, double* block) {
  for (std::size_t i = 0; i < kBandWidth; ++i) {
    for (std::size_t j = 0; j <= i; ++j) block[i * kBandWidth + j] = block[j * kBandWidth + i] = columns[j * rows + i];
  }
}

}  // namespace

Triangle<double> kernel_of_distances(const MatrixView<double>& distances, double gamma, std::size_t order) {
  const double width = checked_gamma<double>(gamma);
  Triangle<double> matrix(order);
  const std::size_t n = distances.rows;
  const std::size_t nr = matrix.nr();
  const std::vector<double> zeros(nr);
  std::vector<double> some(nr);
  const auto fill_line = [&](std::size_t column, std::size_t row, double* line) {
    const std::size_t count = column < n && row < n ? std::min(nr, n - row) : 0;
    for (std::size_t r = 0; r < count; ++r) some[r] = distances(column, row + r);
    if (count > 0) kernels<double>().rbf(zeros.data(), 0, some.data(), width, nr, line);
    for (std::size_t r = count; r < nr; ++r) line[r] = row + r == column ? 1 : 0;
  };
  for (std::size_t i = 0; i < matrix.tiles(); ++i) {
    for (std::size_t column = 0; column < std::min((i + 1) * kTile, order); ++column) {  // along rows of the distances
      const std::size_t j = column / kTile;
      const std::size_t first = i == j ? column % kTile / nr : 0;
      for (std::size_t p = first; p < matrix.panels(i); ++p) {
        fill_line(column, i * kTile + p * nr, matrix.panel(i, j, p) + column % kTile * nr);
      }
    }
  }
  return matrix;
}

void reduce_to_band(Triangle<double>& a, double* diagonal, double* below, const Reflectors<double>& out) {
  const std::size_t order = a.order();
  Buffer<double> columns(order * kBandWidth);
  Buffer<double> rest(order * kBandWidth);
  Reduction reduction(a);
  std::fill_n(below, kBandBlock, 0.0);
  for (std::size_t j = 0; j < out.blocks; ++j) {
    const std::size_t rows = out.rows(j);
    reduction.read_columns(j * kBandWidth, columns.data());
    take_diagonal(columns.data(), rows, diagonal + j * kBandBlock);
    if (j + 1 == out.blocks) break;
    for (std::size_t c = 0; c < kBandWidth; ++c) {
      std::copy_n(columns.data() + c * rows + kBandWidth, rows - kBandWidth, rest.data() + c * (rows - kBandWidth));
    }
    double* const v = out.vectors_of(j + 1);
    double* const t = out.corner_of(j + 1);
    factor_columns(rest.data(), rows - kBandWidth, v, t, below + (j + 1) * kBandBlock);
    reduction.reflect((j + 1) * kBandWidth, v, t);
  }
}

}  // namespace ssiqa
