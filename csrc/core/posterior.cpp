#include "posterior.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "buffer.h"
#include "cholesky.h"
#include "gram.h"
#include "ill_conditioned.h"

namespace ssiqa {

template <class T>
Posterior::Posterior(const MatrixView<T>& x, double gamma, double alpha, std::size_t threads)
    : centre_(centre_of<double>(x)),
      blocks_(x.cols),
      gamma_(gamma),
      rows_(x.rows, x.cols, Side::left),
      norm_(0),
      factor_(regularised_kernel(x, gamma, alpha, threads)) {
  rows_.fill(x, 0, x.rows, centre_, threads);
  if (x.rows == 0) return;
  norm_ = one_norm(factor_, threads);
  if (const auto bad = factorise(factor_, pivot_floor(x.rows, alpha), threads)) {
    refuse(x, alpha, norm_, Unsolved::not_definite, *bad);
  }
}

// Climbs to the vertex of the unit ball that the inverse stretches most, by its gradient; the matrix is symmetric.
double Posterior::condition(std::size_t threads) const {
  const std::size_t n = rows();
  if (n == 0) return 1;
  std::vector<double> x(factor_.padded(), 0.0);
  std::fill_n(x.begin(), n, 1 / static_cast<double>(n));
  const auto length = [&] {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += std::abs(x[i]);
    return sum;
  };
  double inverse_norm = 0;
  std::size_t vertex = n;
  for (int step = 0; step < 5; ++step) {
    ssiqa::solve(factor_, x.data(), 1, threads);
    const double found = length();
    if (found <= inverse_norm) break;
    inverse_norm = found;
    for (std::size_t i = 0; i < n; ++i) x[i] = x[i] < 0 ? -1 : 1;
    ssiqa::solve(factor_, x.data(), 1, threads);
    std::size_t steepest = 0;
    for (std::size_t i = 1; i < n; ++i) {
      if (std::abs(x[i]) > std::abs(x[steepest])) steepest = i;
    }
    if (steepest == vertex) break;
    vertex = steepest;
    std::fill_n(x.begin(), n, 0.0);
    x[vertex] = 1;
  }
  // A vector that alternates and grows finds what the climb misses where many columns are alike.
  for (std::size_t i = 0; i < n; ++i) {
    const double size = 1 + static_cast<double>(i) / static_cast<double>(std::max<std::size_t>(n - 1, 1));
    x[i] = i % 2 == 0 ? size : -size;
  }
  ssiqa::solve(factor_, x.data(), 1, threads);
  return norm_ * std::max(inverse_norm, 2 * length() / (3 * static_cast<double>(n)));
}

template <class T>
void Posterior::solve(const MatrixView<T>& y, T* out, std::size_t threads) const {
  const std::size_t size = factor_.padded();
  Buffer<double> x(size * y.cols);
  std::fill_n(x.data(), size * y.cols, 0.0);
  for (std::size_t i = 0; i < y.rows; ++i) {
    for (std::size_t t = 0; t < y.cols; ++t) {
      if (!std::isfinite(y(i, t))) throw std::invalid_argument("y must hold finite numbers.");
      x[t * size + i] = static_cast<double>(y(i, t));
    }
  }
  ssiqa::solve(factor_, x.data(), y.cols, threads);
  for (std::size_t i = 0; i < y.rows; ++i) {
    for (std::size_t t = 0; t < y.cols; ++t) {
      const T value = static_cast<T>(x[t * size + i]);
      if (!std::isfinite(value)) {
        throw std::invalid_argument("The solution is too large for its type; make y smaller or alpha larger.");
      }
      out[i * y.cols + t] = value;
    }
  }
}

template <class T>
void Posterior::variance(const MatrixView<T>& z, T* out, std::size_t threads) const {
  const Kernels<double>& kernel = kernels<double>();
  const std::size_t nr = kernel.nr;
  const std::size_t lines = factor_.padded();
  const std::size_t tiles = factor_.tiles();
  const auto round_up = [nr](std::size_t value) { return (value + nr - 1) / nr; };
  const std::size_t fitting = std::max<std::size_t>(kWorkspace / (std::max<std::size_t>(lines, 1) * nr * sizeof(double)), 1);
  const std::size_t workers = std::min({threads, fitting, std::max<std::size_t>(round_up(z.rows), 1)});
  // As many panels of z at a time as share each pass over the factor, in equal parts.
  const std::size_t panels = std::clamp<std::size_t>(round_up((z.rows + workers - 1) / workers), 1,
                                                     std::min(fitting / workers, kTile / nr));
  const std::size_t width = panels * nr;
  const double work = static_cast<double>(z.rows) * static_cast<double>(lines) * static_cast<double>(lines);

  parallel_for((z.rows + width - 1) / width, work, workers, [&](std::size_t task) {
    const std::size_t first = task * width;
    const std::size_t count = std::min(width, z.rows - first);
    PackedRows<double> columns(count, z.cols, Side::right);
    columns.fill(z, first, count, centre_, 1);
    // Line i of a panel: row i of the kernel against nr rows of z, and then of L^-1 times that.
    Buffer<double> solved(lines * width);
    for (std::size_t p = 0; p < columns.panels(); ++p) {
      double* const panel = solved.data() + p * lines * nr;
      for (std::size_t i = 0; i < tiles; ++i) {
        const std::size_t begin = i * kTile / kernel.mr;
        const std::size_t end = std::min(begin + kTile / kernel.mr, rows_.panels());
        double* const tile = panel + i * kTile * nr;
        for (std::size_t b = 0; b < blocks_.count(); ++b) {
          kernel.dots(rows_.panel(b, begin), end - begin, columns.panel(b, p), 1, blocks_.size(b), tile, nr, b > 0);
        }
      }
      for (std::size_t i = 0; i < rows(); ++i) {
        double* const line = panel + i * nr;
        kernel.rbf(line, rows_.norms()[i], columns.norms() + p * nr, gamma_, nr, line);
      }
      std::fill(panel + rows() * nr, panel + lines * nr, 0.0);
    }
    solve_lower(factor_, solved.data(), columns.panels());
    std::vector<double> explained(width, 0.0);
    for (std::size_t p = 0; p < columns.panels(); ++p) {
      for (std::size_t i = 0; i < rows(); ++i) {
        const double* const line = solved.data() + (p * lines + i) * nr;
        for (std::size_t r = 0; r < nr; ++r) explained[p * nr + r] += line[r] * line[r];
      }
    }
    for (std::size_t r = 0; r < count; ++r) out[first + r] = static_cast<T>(std::clamp(1 - explained[r], 0.0, 1.0));
  });
}

#define SSIQA_INSTANTIATE(T)                                                                 \
  template Posterior::Posterior(const MatrixView<T>&, double, double, std::size_t);          \
  template void Posterior::solve(const MatrixView<T>&, T*, std::size_t) const;               \
  template void Posterior::variance(const MatrixView<T>&, T*, std::size_t) const;
SSIQA_INSTANTIATE(float)
SSIQA_INSTANTIATE(double)

}  // namespace ssiqa
