// The same results the plain way, in long double where it matters: what the tests hold the fast routines against.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "view.h"

namespace ssiqa::reference {

template <class T>
long double squared_distance(const MatrixView<T>& x, std::size_t i, const MatrixView<T>& z, std::size_t j) {
  long double sum = 0;
  for (std::size_t k = 0; k < x.cols; ++k) {
    const long double difference = static_cast<long double>(x(i, k)) - static_cast<long double>(z(j, k));
    sum += difference * difference;
  }
  return sum;
}

// x.rows by z.rows, row by row.
template <class T>
std::vector<long double> rbf_kernel(const MatrixView<T>& x, const MatrixView<T>& z, double gamma) {
  std::vector<long double> kernel;
  kernel.reserve(x.rows * z.rows);
  for (std::size_t i = 0; i < x.rows; ++i) {
    for (std::size_t j = 0; j < z.rows; ++j) kernel.push_back(std::exp(-gamma * squared_distance(x, i, z, j)));
  }
  return kernel;
}

template <class T>
std::vector<long double> rbf_matvec(const MatrixView<T>& x, const MatrixView<T>& z, const MatrixView<T>& coef,
                                    double gamma) {
  const std::vector<long double> kernel = rbf_kernel(x, z, gamma);
  std::vector<long double> out(x.rows * coef.cols, 0.0L);
  for (std::size_t i = 0; i < x.rows; ++i) {
    for (std::size_t j = 0; j < z.rows; ++j) {
      for (std::size_t t = 0; t < coef.cols; ++t) {
        out[i * coef.cols + t] += kernel[i * z.rows + j] * static_cast<long double>(coef(j, t));
      }
    }
  }
  return out;
}

template <class T>
std::vector<std::int64_t> smallest_difference(const VectorView<T>& a, const VectorView<T>& b, std::size_t k) {
  std::vector<std::int64_t> order(a.size);
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::ranges::stable_sort(order, [&](std::int64_t left, std::int64_t right) {
    const auto difference = [&](std::int64_t i) {
      return std::abs(a[static_cast<std::size_t>(i)] - b[static_cast<std::size_t>(i)]);
    };
    const T p = difference(left);
    const T q = difference(right);
    return std::isnan(q) ? !std::isnan(p) : p < q;
  });
  order.resize(k);
  return order;
}

// The lower triangle L of A = L L', n by n and row by row; no pivot may be bad.
inline std::vector<long double> cholesky(std::vector<long double> a, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      long double rest = a[i * n + j];
      for (std::size_t k = 0; k < j; ++k) rest -= a[i * n + k] * a[j * n + k];
      a[i * n + j] = i == j ? std::sqrt(rest) : rest / a[j * n + j];
    }
  }
  return a;
}

// L^-1 b.
inline std::vector<long double> solve_lower(const std::vector<long double>& l, std::vector<long double> b) {
  const std::size_t n = b.size();
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i; ++k) b[i] -= l[i * n + k] * b[k];
    b[i] /= l[i * n + i];
  }
  return b;
}

// (L L')^-1 b.
inline std::vector<long double> solve(const std::vector<long double>& l, std::vector<long double> b) {
  const std::size_t n = b.size();
  b = solve_lower(l, std::move(b));
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) b[i] -= l[k * n + i] * b[k];
    b[i] /= l[i * n + i];
  }
  return b;
}

}  // namespace ssiqa::reference
