#include "posterior.h"

#include <cmath>
#include <limits>
#include <vector>

#include "check.h"
#include "ill_conditioned.h"
#include "reference.h"

namespace {

using ssiqa::test::Matrix;

constexpr double kGamma = 0.1;
constexpr double kAlpha = 0.01;

template <class T>
std::vector<long double> factor_of(const Matrix<T>& x) {
  auto kernel = ssiqa::reference::rbf_kernel(x.view(), x.view(), kGamma);
  for (std::size_t i = 0; i < x.rows; ++i) kernel[i * x.rows + i] += kAlpha;
  return ssiqa::reference::cholesky(kernel, x.rows);
}

// The condition number is at most n / alpha = 5e4, so that 1e-9 leaves a margin of ten over n rounding errors times that.
template <class T>
void agrees_with_reference(std::size_t n, std::size_t m, std::size_t d) {
  const Matrix<T> x(n, d, 1);
  const Matrix<T> z(m, d, 2);
  const Matrix<T> y(n, 2, 3);
  const ssiqa::Posterior posterior(x.view(), kGamma, kAlpha, 3);
  const std::vector<long double> lower = factor_of(x);
  const double tolerance = std::max(1e-9, 2.0 * std::numeric_limits<T>::epsilon());

  std::vector<T> variance(m);
  posterior.variance(z.view(), variance.data(), 3);
  const auto kernel = ssiqa::reference::rbf_kernel(z.view(), x.view(), kGamma);
  for (std::size_t i = 0; i < m; ++i) {
    const auto begin = kernel.begin() + static_cast<std::ptrdiff_t>(i * n);
    long double expected = 1;
    for (const long double v :
         ssiqa::reference::solve_lower(lower, {begin, begin + static_cast<std::ptrdiff_t>(n)})) {
      expected -= v * v;
    }
    CHECK(std::abs(variance[i] - expected) <= tolerance);
  }
  std::vector<T> again(m);
  posterior.variance(z.view(), again.data(), 1);
  CHECK(again == variance);

  std::vector<T> solved(n * 2);
  posterior.solve(y.view(), solved.data(), 3);
  for (std::size_t t = 0; t < 2; ++t) {
    std::vector<long double> b(n);
    for (std::size_t i = 0; i < n; ++i) b[i] = y.values[i * 2 + t];
    const auto expected = ssiqa::reference::solve(lower, b);
    for (std::size_t i = 0; i < n; ++i) CHECK(std::abs(solved[i * 2 + t] - expected[i]) <= 400 * tolerance);
  }
}

void estimates_the_condition(std::size_t n) {
  const Matrix<double> x(n, 3, 1);
  const std::vector<long double> lower = factor_of(x);
  auto kernel = ssiqa::reference::rbf_kernel(x.view(), x.view(), kGamma);
  for (std::size_t i = 0; i < n; ++i) kernel[i * n + i] += kAlpha;
  const auto norm = [n](const auto& column) {
    long double largest = 0;
    for (std::size_t j = 0; j < n; ++j) {
      long double sum = 0;
      for (const long double v : column(j)) sum += std::abs(v);
      largest = std::max(largest, sum);
    }
    return largest;
  };
  const long double direct = norm([&](std::size_t j) {
    const auto begin = kernel.begin() + static_cast<std::ptrdiff_t>(j * n);
    return std::vector<long double>(begin, begin + static_cast<std::ptrdiff_t>(n));
  });
  const long double inverse = norm([&](std::size_t j) {
    std::vector<long double> unit(n);
    unit[j] = 1;
    return ssiqa::reference::solve(lower, unit);
  });
  const double estimate = ssiqa::Posterior(x.view(), kGamma, kAlpha, 2).condition(2);
  CHECK(estimate <= 1.0001L * direct * inverse && estimate >= direct * inverse / 3);
}

template <class T>
void refuses() {
  Matrix<T> x(30, 3, 1);
  std::copy_n(x.values.data(), 3, x.values.data() + 3 * 13);
  ssiqa::test::check_throws<ssiqa::IllConditioned>([&] { ssiqa::Posterior(x.view(), 1.0, 0.0, 1); });
  ssiqa::test::check_throws<std::invalid_argument>([&] { ssiqa::Posterior(x.view(), 1.0, -1.0, 1); });
  const ssiqa::Posterior posterior(x.view(), 1.0, 0.1, 1);
  std::vector<T> out(30);
  x.values[4] = std::numeric_limits<T>::quiet_NaN();
  ssiqa::test::check_throws<std::invalid_argument>([&] { posterior.variance(x.view(), out.data(), 1); });
  const ssiqa::MatrixView<T> y{x.values.data(), 30, 1, 1, 1};
  ssiqa::test::check_throws<std::invalid_argument>([&] { posterior.solve(y, out.data(), 1); });
}

template <class T>
void all() {
  agrees_with_reference<T>(1, 1, 1);
  agrees_with_reference<T>(30, 7, 0);
  agrees_with_reference<T>(200, 61, 5);
  agrees_with_reference<T>(500, 250, 200);
  refuses<T>();
}

}  // namespace

int main() {
  return ssiqa::test::run([] {
    all<float>();
    all<double>();
    for (const std::size_t n : {1U, 2U, 50U, 250U}) estimates_the_condition(n);
  });
}
