#include "band.h"

#include <cmath>
#include <limits>
#include <vector>

#include "check.h"
#include "reference.h"

namespace {

using ssiqa::kBandBlock;
using ssiqa::kBandWidth;
using ssiqa::test::Matrix;

constexpr double kEps = std::numeric_limits<double>::epsilon();

// Squared distances of rows of a few features: a kernel matrix with large and small eigenvalues.
std::vector<double> distances(std::size_t n) {
  const Matrix<double> x(n, 6, 1);
  std::vector<double> d(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      d[i * n + j] = static_cast<double>(ssiqa::reference::squared_distance(x.view(), i, x.view(), j));
    }
  }
  return d;
}

struct Reduced {
  std::size_t blocks;
  std::vector<double> diagonal;
  std::vector<double> below;
  std::vector<double> vectors;
  std::vector<double> corners;

  Reduced(const std::vector<double>& d, std::size_t n, double gamma)
      : blocks((n + kBandWidth - 1) / kBandWidth),
        diagonal(blocks * kBandBlock),
        below(blocks * kBandBlock),
        vectors(ssiqa::reflector_numbers(blocks)),
        corners((blocks - 1) * kBandBlock) {
    const ssiqa::MatrixView<double> view{d.data(), n, n, static_cast<std::ptrdiff_t>(n), 1};
    ssiqa::Triangle<double> kernel = ssiqa::kernel_of_distances(view, gamma, blocks * kBandWidth);
    ssiqa::reduce_to_band(kernel, diagonal.data(), below.data(), {blocks, vectors.data(), corners.data()});
  }

  ssiqa::Reflectors<const double> reflectors() const { return {blocks, vectors.data(), corners.data()}; }
  std::size_t order() const { return blocks * kBandWidth; }
};

std::vector<double> identity(std::size_t n) {
  std::vector<double> a(n * n, 0.0);
  for (std::size_t i = 0; i < n; ++i) a[i * n + i] = 1;
  return a;
}

// Q from its definition: the product of I - V T V', from the last to the first.
std::vector<double> orthogonal(const Reduced& reduced) {
  const std::size_t n = reduced.order();
  const auto q = reduced.reflectors();
  std::vector<double> a = identity(n);
  for (std::size_t j = reduced.blocks - 1; j >= 1; --j) {
    const std::size_t rows = q.rows(j);
    const double* const v = q.vectors_of(j);
    const double* const t = q.corner_of(j);
    for (std::size_t column = 0; column < n; ++column) {
      std::vector<double> share(kBandWidth, 0.0);
      std::vector<double> turned(kBandWidth, 0.0);
      for (std::size_t c = 0; c < kBandWidth; ++c) {
        for (std::size_t i = 0; i < rows; ++i) share[c] += v[c * rows + i] * a[(n - rows + i) * n + column];
      }
      for (std::size_t c = 0; c < kBandWidth; ++c) {
        for (std::size_t k = c; k < kBandWidth; ++k) turned[c] += t[c * kBandWidth + k] * share[k];
      }
      for (std::size_t c = 0; c < kBandWidth; ++c) {
        for (std::size_t i = 0; i < rows; ++i) a[(n - rows + i) * n + column] -= v[c * rows + i] * turned[c];
      }
    }
  }
  return a;
}

std::vector<double> banded(const Reduced& reduced) {
  const std::size_t n = reduced.order();
  std::vector<double> b(n * n, 0.0);
  for (std::size_t j = 0; j < reduced.blocks; ++j) {
    for (std::size_t row = 0; row < kBandWidth; ++row) {
      for (std::size_t col = 0; col < kBandWidth; ++col) {
        const std::size_t i = j * kBandWidth + row;
        b[i * n + j * kBandWidth + col] = reduced.diagonal[j * kBandBlock + row * kBandWidth + col];
        if (j == 0) continue;
        const double value = reduced.below[j * kBandBlock + row * kBandWidth + col];
        b[i * n + (j - 1) * kBandWidth + col] = value;
        b[((j - 1) * kBandWidth + col) * n + i] = value;
        if (row > col) CHECK(value == 0);
      }
    }
  }
  return b;
}

// Left times right, where right is transposed or not.
std::vector<double> product(const std::vector<double>& left, const std::vector<double>& right, std::size_t n,
                            bool transposed) {
  std::vector<double> out(n * n, 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < n; ++k) {
      for (std::size_t j = 0; j < n; ++j) out[i * n + j] += left[i * n + k] * right[transposed ? j * n + k : k * n + j];
    }
  }
  return out;
}

// Householder's reduction is backward stable: Q is orthogonal, and Q B Q' is the matrix, to a few rounding errors of each of
// the at most n reflectors. These add up like a random walk and are relative to the length of what a reflector is applied
// to: of a row of Q, 1, or of a row of the matrix, at most sqrt(n).
void is_a_reduction(std::size_t n, double gamma) {
  const std::vector<double> d = distances(n);
  const Reduced reduced(d, n, gamma);
  const std::size_t order = reduced.order();
  const double rounding = 8 * kEps * std::sqrt(static_cast<double>(order));
  const std::vector<double> q = orthogonal(reduced);
  const std::vector<double> unit = product(q, q, order, true);
  const std::vector<double> restored = product(product(q, banded(reduced), order, false), q, order, true);
  for (std::size_t i = 0; i < order; ++i) {
    for (std::size_t j = 0; j < order; ++j) {
      const double same = i == j ? 1 : 0;
      const double expected = i < n && j < n ? std::exp(-gamma * d[i * n + j]) : same;
      CHECK(std::abs(unit[i * order + j] - same) <= rounding);
      CHECK(std::abs(restored[i * order + j] - expected) <= rounding * std::sqrt(static_cast<double>(order)));
    }
  }
}

// The factors of B + alpha I, by the plain factor of the whole.
struct Factors {
  std::vector<double> inverse;
  std::vector<double> step;

  Factors(const Reduced& reduced, double alpha) : inverse(reduced.blocks * kBandBlock, 0.0), step(inverse) {
    const std::size_t n = reduced.order();
    const std::vector<double> b = banded(reduced);
    std::vector<long double> shifted(b.begin(), b.end());
    for (std::size_t i = 0; i < n; ++i) shifted[i * n + i] += alpha;
    const std::vector<long double> lower = ssiqa::reference::cholesky(shifted, n);
    for (std::size_t j = 0; j < reduced.blocks; ++j) {
      std::vector<long double> corner(kBandBlock);
      for (std::size_t row = 0; row < kBandWidth; ++row) {
        for (std::size_t col = 0; col <= row; ++col) {
          corner[row * kBandWidth + col] = lower[(j * kBandWidth + row) * n + j * kBandWidth + col];
        }
      }
      const auto column = [&](const std::vector<long double>& right, std::size_t col, std::vector<double>& to) {
        const std::vector<long double> solved = ssiqa::reference::solve_lower(corner, right);
        for (std::size_t row = 0; row < kBandWidth; ++row) {
          to[j * kBandBlock + row * kBandWidth + col] = static_cast<double>(solved[row]);
        }
      };
      for (std::size_t col = 0; col < kBandWidth; ++col) {
        std::vector<long double> right(kBandWidth, 0.0L);
        right[col] = 1;
        column(right, col, inverse);
        if (j == 0) continue;
        for (std::size_t row = 0; row < kBandWidth; ++row) {
          right[row] = lower[(j * kBandWidth + row) * n + (j - 1) * kBandWidth + col];
        }
        column(right, col, step);
      }
    }
  }
};

// Against the plain inverse, whose condition is at most n / alpha. A rounding e of a row of Q moves the entry g of the
// diagonal by at most 2 |e| / sqrt(alpha g) of itself, and g is at least 1 / (1 + alpha).
template <class T>
void has_the_diagonal_of_the_inverse(std::size_t n, double gamma, double tolerance) {
  const std::vector<double> d = distances(n);
  const Reduced reduced(d, n, gamma);
  const std::vector<double> alphas{0.01, 1.0};
  std::vector<double> inverse;
  std::vector<double> step;
  for (const double alpha : alphas) {
    const Factors factors(reduced, alpha);
    inverse.insert(inverse.end(), factors.inverse.begin(), factors.inverse.end());
    step.insert(step.end(), factors.step.begin(), factors.step.end());
  }
  std::vector<double> out(alphas.size() * n);
  ssiqa::inverse_diagonal<T>(reduced.reflectors(), {alphas.size(), inverse.data(), step.data()}, n, out.data(), 3);
  std::vector<double> alone(out.size());
  ssiqa::inverse_diagonal<T>(reduced.reflectors(), {alphas.size(), inverse.data(), step.data()}, n, alone.data(), 1);
  CHECK(alone == out);
  for (std::size_t a = 0; a < alphas.size(); ++a) {
    std::vector<long double> shifted(n * n);
    for (std::size_t i = 0; i < n * n; ++i) shifted[i] = std::exp(-static_cast<long double>(gamma) * d[i]);
    for (std::size_t i = 0; i < n; ++i) shifted[i * n + i] += alphas[a];
    const std::vector<long double> lower = ssiqa::reference::cholesky(shifted, n);
    for (std::size_t i = 0; i < n; i += 7) {
      std::vector<long double> unit(n, 0.0L);
      unit[i] = 1;
      const long double expected = ssiqa::reference::solve(lower, unit)[i];
      CHECK(std::abs(out[a * n + i] - expected) <= tolerance * expected);
    }
  }
}

template <class T>
void grouped_rows_are_found() {
  const ssiqa::Kernels<T>& kernel = ssiqa::kernels<T>();
  const std::size_t group = 3;
  const std::size_t groups = 4;
  const std::size_t rows = 2 * kernel.mr;
  const std::size_t row_stride = 5;
  const std::size_t group_stride = rows * row_stride + 1;
  const std::size_t features = group * groups;
  const std::size_t right_stride = features * kernel.nr + 8;
  const std::size_t cols = 2 * kernel.nr;
  const Matrix<T> left(1, groups * group_stride, 1);
  const Matrix<T> right(1, 2 * right_stride, 2);
  std::vector<T> out(rows * (cols + 3), T{1});
  kernel.grouped_dots({left.values.data(), row_stride, groups, group, group_stride}, rows, right.values.data(),
                      right_stride, 2, out.data(), cols + 3, true);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < cols + 3; ++c) {
      double expected = 1;
      for (std::size_t k = 0; k < features && c < cols; ++k) {
        expected += static_cast<double>(left.values[r * row_stride + k / group * group_stride + k % group]) *
                    static_cast<double>(right.values[c / kernel.nr * right_stride + k * kernel.nr + c % kernel.nr]);
      }
      const double tolerance = 100 * static_cast<double>(std::numeric_limits<T>::epsilon());
      CHECK(std::abs(static_cast<double>(out[r * (cols + 3) + c]) - expected) <= tolerance);
    }
  }
}

}  // namespace

int main() {
  return ssiqa::test::run([] {
    grouped_rows_are_found<float>();
    grouped_rows_are_found<double>();
    // One block, blocks filled up, one tile and several, whole and not.
    for (const std::size_t n : {1U, 47U, 48U, 49U, 96U, 192U, 200U, 250U, 400U}) is_a_reduction(n, 0.1);
    for (const double gamma : {0.0, 1e-3, 100.0}) is_a_reduction(250, gamma);
    for (const std::size_t n : {1U, 48U, 200U, 400U}) {
      has_the_diagonal_of_the_inverse<double>(n, 0.1, 100 * static_cast<double>(n) * kEps / 0.01);
      const double rounding = 8 * std::numeric_limits<float>::epsilon();  // of a row, in which most cancels
      has_the_diagonal_of_the_inverse<float>(n, 0.1, 2 * rounding / std::sqrt(0.01));
    }
  });
}
