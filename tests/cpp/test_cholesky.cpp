#include "cholesky.h"

#include <cmath>
#include <limits>
#include <vector>

#include "check.h"
#include "reference.h"

namespace {

using ssiqa::kTile;
using ssiqa::Triangle;

// A kernel matrix on a line, whose rows far from each other have little to do with each other.
long double entry(std::size_t i, std::size_t j) {
  const long double distance = (static_cast<long double>(i) - static_cast<long double>(j)) / 40;
  return std::exp(-distance * distance) + (i == j ? 0.5L : 0.0L);
}

std::vector<long double> matrix(std::size_t n) {
  std::vector<long double> a(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) a[i * n + j] = entry(i, j);
  }
  return a;
}

// Everything that is not to be read is NaN.
template <class T>
Triangle<T> triangle(std::size_t n) {
  Triangle<T> a(n);
  const std::size_t used = a.tiles() == 0 ? 0 : (a.tiles() - 1) * kTile + a.panels(a.tiles() - 1) * a.nr();
  std::fill_n(a.tile(0, 0), a.tiles() * (a.tiles() + 1) / 2 * kTile * kTile, std::numeric_limits<T>::quiet_NaN());
  for (std::size_t i = 0; i < used; ++i) {
    for (std::size_t j = 0; j <= i; ++j) a(i, j) = static_cast<T>(i < n ? entry(i, j) : i == j ? 1.0L : 0.0L);
  }
  // The square at the end of a panel on the diagonal holds both of its halves.
  for (std::size_t i = 0; i < used; ++i) {
    for (std::size_t j = i / a.nr() * a.nr(); j < i; ++j) {
      a.panel(j / kTile, j / kTile, j % kTile / a.nr())[i % kTile * a.nr() + j % a.nr()] = a(i, j);
    }
  }
  return a;
}

template <class T>
std::vector<T> vectors(const Triangle<T>& a, std::size_t count) {
  std::vector<T> x(a.padded() * count, T{0});
  for (std::size_t t = 0; t < count; ++t) {
    for (std::size_t i = 0; i < a.order(); ++i) x[t * a.padded() + i] = static_cast<T>(std::sin(static_cast<double>(i + 7 * t)));
  }
  return x;
}

template <class T>
std::vector<long double> column(const Triangle<T>& a, const std::vector<T>& x, std::size_t t) {
  const auto begin = x.begin() + static_cast<std::ptrdiff_t>(t * a.padded());
  return {begin, begin + static_cast<std::ptrdiff_t>(a.order())};
}

// The matrix has eigenvalues from 0.5 to about 72, so that a backward stable result is right to about 144 n rounding
// errors of T at the very worst, and to far fewer in fact.
template <class T>
void agrees_with_reference(std::size_t n) {
  const double tolerance = 300 * static_cast<double>(std::numeric_limits<T>::epsilon());
  const std::vector<long double> exact = matrix(n);
  const std::vector<long double> lower = ssiqa::reference::cholesky(exact, n);
  Triangle<T> a = triangle<T>(n);
  const std::vector<T> b = vectors(a, 3);

  std::vector<T> product(b.size());
  ssiqa::multiply(a, b.data(), product.data(), 3, 2);
  for (std::size_t t = 0; t < 3; ++t) {
    for (std::size_t i = 0; i < n; ++i) {
      long double sum = 0;
      for (std::size_t j = 0; j < n; ++j) sum += exact[i * n + j] * static_cast<long double>(b[t * a.padded() + j]);
      CHECK(std::abs(product[t * a.padded() + i] - sum) <= tolerance);
    }
  }

  CHECK(!ssiqa::factorise(a, 0, 2));
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j <= i; ++j) CHECK(std::abs(a(i, j) - lower[i * n + j]) <= tolerance);
  }

  std::vector<T> x = b;
  ssiqa::solve(a, x.data(), 3, 2);
  for (std::size_t t = 0; t < 3; ++t) {
    const std::vector<long double> expected = ssiqa::reference::solve(lower, column(a, b, t));
    for (std::size_t i = 0; i < n; ++i) CHECK(std::abs(x[t * a.padded() + i] - expected[i]) <= 4 * tolerance);
  }

  const std::size_t nr = a.nr();
  std::vector<T> panels(2 * a.padded() * nr, T{0});
  for (std::size_t i = 0; i < n; ++i) panels[(a.padded() + i) * nr + 1] = b[i];
  ssiqa::solve_lower(a, panels.data(), 2);
  const std::vector<long double> expected = ssiqa::reference::solve_lower(lower, column(a, b, 0));
  for (std::size_t i = 0; i < n; ++i) {
    CHECK(std::abs(panels[(a.padded() + i) * nr + 1] - expected[i]) <= 2 * tolerance);
    CHECK(panels[i * nr] == 0);
  }
}

template <class T>
void names_the_bad_pivot(std::size_t n, std::size_t row) {
  Triangle<T> a = triangle<T>(n);
  a(row, row) = T{-1};
  const auto bad = ssiqa::factorise(a, 0, 2);
  CHECK(bad && bad->row == row && bad->value < 0);
  Triangle<T> b = triangle<T>(n);
  b(row, row) = std::numeric_limits<T>::quiet_NaN();
  const auto undefined = ssiqa::factorise(b, 0, 2);
  CHECK(undefined && undefined->row == row);
}

template <class T>
void does_not_depend_on_threads(std::size_t n) {
  std::vector<std::vector<T>> results;
  for (const std::size_t threads : {1U, 2U, 5U}) {
    Triangle<T> a = triangle<T>(n);
    const std::vector<T> b = vectors(a, 2);
    std::vector<T> product(b.size());
    ssiqa::multiply(a, b.data(), product.data(), 2, threads);
    CHECK(!ssiqa::factorise(a, 0, threads));
    ssiqa::solve(a, product.data(), 2, threads);
    results.push_back(product);
  }
  CHECK(results[0] == results[1] && results[0] == results[2]);
}

template <class T>
void all() {
  for (const std::size_t n : {1U, 4U, 23U, 192U, 193U, 400U, 1000U}) agrees_with_reference<T>(n);
  names_the_bad_pivot<T>(100, 0);
  names_the_bad_pivot<T>(100, 99);
  names_the_bad_pivot<T>(500, 201);
  does_not_depend_on_threads<T>(1100);
}

}  // namespace

int main() {
  return ssiqa::test::run([] {
    all<float>();
    all<double>();
  });
}
