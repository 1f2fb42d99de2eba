#include "krr.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <stdexcept>
#include <vector>

#include "buffer.h"
#include "gram.h"
#include "refine.h"

namespace ssiqa {
namespace {

// Up to here a factor in double takes no longer than one in float with its refinement.
constexpr std::size_t kFewTiles = 4;

// From here on K is rounded away next to alpha, for any number of rows that fits into memory. The system is solved with
// no larger alpha and its solution divided by the rest: float cannot overflow, nor products with 1 / alpha underflow.
constexpr double kLargeAlpha = 0x1p100;

// Columns of y that are solved together: they share the passes over the matrix.
constexpr std::size_t kColumns = 8;

struct System {
  Triangle<double> matrix;
  double norm;
  Buffer<double> targets;    // column by column, padded
  Buffer<double> solutions;  // likewise
  std::size_t columns;
};

struct Failure {
  Unsolved reason;
  BadPivot pivot;
};

// The factor in F and the solutions by its help, unless F does not suffice.
template <class F>
std::optional<Failure> solve_in(System& system, double floor, std::size_t threads) {
  Triangle<F> factor = converted<F>(system.matrix, threads);
  if (const auto bad = factorise(factor, floor, threads)) return Failure{Unsolved::not_definite, *bad};
  const std::size_t size = factor.padded();
  for (std::size_t t = 0; t < system.columns; t += kColumns) {
    if (!refine(system.matrix, system.norm, factor, system.targets.data() + t * size, system.solutions.data() + t * size,
                std::min(kColumns, system.columns - t), threads)) {
      return Failure{Unsolved::not_refined, smallest_pivot(factor)};
    }
  }
  return std::nullopt;
}

// The columns of y, each divided by the power of two that brings it near 1: then no square overflows.
template <class T>
Buffer<double> scaled_targets(const MatrixView<T>& y, std::vector<int>& exponents) {
  const std::size_t size = padded_rows(y.rows);
  Buffer<double> targets(size * y.cols);
  std::fill_n(targets.data(), size * y.cols, 0.0);
  for (std::size_t t = 0; t < y.cols; ++t) {
    double largest = 0;
    for (std::size_t i = 0; i < y.rows; ++i) {
      if (!std::isfinite(y(i, t))) throw std::invalid_argument("y must hold finite numbers.");
      largest = std::max(largest, std::abs(static_cast<double>(y(i, t))));
    }
    std::frexp(largest, &exponents[t]);
    for (std::size_t i = 0; i < y.rows; ++i) {
      targets[t * size + i] = std::ldexp(static_cast<double>(y(i, t)), -exponents[t]);
    }
  }
  return targets;
}

}  // namespace

template <class T>
void krr_fit(const MatrixView<T>& x, const MatrixView<T>& y, double gamma, double alpha, T* out, std::size_t threads) {
  std::vector<int> exponents(y.cols);
  Buffer<double> targets = scaled_targets(y, exponents);
  const double used_alpha = std::isfinite(alpha) ? std::min(alpha, kLargeAlpha) : alpha;
  System system{regularised_kernel(x, gamma, used_alpha, threads), 0, std::move(targets),
                Buffer<double>(padded_rows(x.rows) * y.cols), y.cols};
  if (x.rows == 0 || y.cols == 0) return;
  system.norm = one_norm(system.matrix, threads);

  if (system.matrix.tiles() <= kFewTiles || solve_in<float>(system, 0, threads)) {
    if (const auto failure = solve_in<double>(system, pivot_floor(x.rows, used_alpha), threads)) {
      refuse(x, alpha, system.norm, failure->reason, failure->pivot);
    }
  }
  const double rest = alpha > kLargeAlpha ? kLargeAlpha / alpha : 1;
  for (std::size_t i = 0; i < y.rows; ++i) {
    for (std::size_t t = 0; t < y.cols; ++t) {
      const double value = rest * std::ldexp(system.solutions[t * padded_rows(x.rows) + i], exponents[t]);
      out[i * y.cols + t] = static_cast<T>(value);
      if (!std::isfinite(out[i * y.cols + t])) {
        throw std::invalid_argument("The coefficients are too large for their type; make y smaller or alpha larger.");
      }
    }
  }
}

std::size_t krr_workspace(std::size_t rows, std::size_t features, std::size_t targets) {
  const std::size_t padded = padded_rows(rows);
  return padded * (padded + kTile + features + 2 * targets) * sizeof(double);
}

template void krr_fit(const MatrixView<float>&, const MatrixView<float>&, double, double, float*, std::size_t);
template void krr_fit(const MatrixView<double>&, const MatrixView<double>&, double, double, double*, std::size_t);

}  // namespace ssiqa
