#include "gram.h"

#include <cmath>
#include <optional>
#include <stdexcept>
#include <vector>

#include "packing.h"
#include "rbf.h"

namespace ssiqa {
namespace {

struct Rbf {
  const PackedRows<double>& rows;  // all of them, as right panels
  const FeatureBlocks& features;
  double gamma;

  // Tile (i, j) of the kernel, where `columns` are the rows of tile j as left panels.
  void fill(const PackedRows<double>& columns, std::size_t i, std::size_t j, Triangle<double>& out) const {
    const Kernels<double>& kernel = kernels<double>();
    const std::size_t nr = kernel.nr;
    const std::size_t first = i * (kTile / nr);
    const auto lines = [&](std::size_t p) {
      return std::min(columns.panels() * kernel.mr, i == j ? (p + 1) * nr : kTile);
    };
    const std::size_t panels = std::min(out.panels(i), rows.panels() - first);
    for (std::size_t b = 0; b < features.count(); ++b) {  // outside, so that these columns stay in the cache
      for (std::size_t p = 0; p < panels; ++p) {
        kernel.dots(columns.panel(b, 0), lines(p) / kernel.mr, rows.panel(b, first + p), 1, features.size(b),
                    out.panel(i, j, p), nr, b > 0);
      }
    }
    for (std::size_t p = 0; p < panels; ++p) {
      for (std::size_t k = 0; k < lines(p); ++k) {
        double* const line = out.panel(i, j, p) + k * nr;
        kernel.rbf(line, columns.norms()[k], rows.norms() + (first + p) * nr, gamma, nr, line);
      }
    }
  }
};

// The rows of the last tile that exist only to fill its panels hold nothing but the diagonal of the others: where alpha
// is large, a 1 would be below the floor of the pivots.
void finish_last_panels(Triangle<double>& matrix, double diagonal) {
  const std::size_t last = matrix.tiles() - 1;
  const std::size_t rows = matrix.order() - last * kTile;
  const std::size_t nr = matrix.nr();
  for (std::size_t row = rows; row < matrix.panels(last) * nr; ++row) {
    for (std::size_t j = 0; j <= last; ++j) {
      double* const panel = matrix.panel(last, j, row / nr) + row % nr;
      for (std::size_t k = 0; k < (j == last ? row : kTile); ++k) panel[k * nr] = 0;
    }
    matrix.panel(last, last, row / nr)[row * nr + row % nr] = diagonal;
    // The other half of the square at the end of the panel.
    for (std::size_t k = row / nr * nr; k < row; ++k) matrix.panel(last, last, row / nr)[row * nr + k % nr] = 0;
  }
}

}  // namespace

template <class T>
Triangle<double> regularised_kernel(const MatrixView<T>& x, double gamma, double alpha, std::size_t threads) {
  if (!(std::isfinite(alpha) && alpha >= 0)) {
    throw std::invalid_argument("alpha must be a finite number that is not negative.");
  }
  const double width = checked_gamma<double>(gamma);
  Triangle<double> matrix(x.rows);
  if (x.rows == 0) return matrix;
  const std::vector<double> centre = centre_of<double>(x);
  PackedRows<double> rows(x.rows, x.cols, Side::right);
  rows.fill(x, 0, x.rows, centre, threads);
  const FeatureBlocks features(x.cols);
  const Rbf rbf{rows, features, width};

  // Tiles of a column share its rows as left panels; some of a column at a time, so that many threads end together.
  constexpr std::size_t kHeight = 8;
  const std::size_t tiles = matrix.tiles();
  const std::size_t heights = (tiles + kHeight - 1) / kHeight;
  const double n = static_cast<double>(x.rows);
  std::vector<std::optional<PackedRows<double>>> packed(threads);
  parallel_for_workers(tiles * heights, n * n * static_cast<double>(x.cols + 16), threads,
                       [&](std::size_t task, std::size_t worker) {
                         const std::size_t j = task / heights;
                         const std::size_t begin = std::max(task % heights * kHeight, j);
                         const std::size_t end = std::min((task % heights + 1) * kHeight, tiles);
                         if (begin >= end) return;
                         std::optional<PackedRows<double>>& columns = packed[worker];
                         if (!columns) columns.emplace(std::min(kTile, x.rows), x.cols, Side::left);
                         columns->fill(x, j * kTile, std::min(kTile, x.rows - j * kTile), centre, 1);
                         for (std::size_t i = begin; i < end; ++i) rbf.fill(*columns, i, j, matrix);
                       });
  finish_last_panels(matrix, 1 + alpha);
  for (std::size_t i = 0; i < x.rows; ++i) matrix(i, i) += alpha;
  return matrix;
}

template Triangle<double> regularised_kernel(const MatrixView<float>&, double, double, std::size_t);
template Triangle<double> regularised_kernel(const MatrixView<double>&, double, double, std::size_t);

}  // namespace ssiqa
