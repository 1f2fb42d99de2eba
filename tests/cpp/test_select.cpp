#include "select.h"

#include <cmath>
#include <limits>

#include "check.h"
#include "reference.h"
#include "selection.h"

namespace {

using ssiqa::test::Matrix;

// Few distinct values, so that ties are everywhere, and some that are not numbers.
template <class T>
Matrix<T> awkward(std::size_t n, unsigned seed) {
  Matrix<T> values(n, 1, seed);
  for (std::size_t i = 0; i < n; ++i) {
    values.values[i] = std::round(2 * values.values[i]);
    if (i % 41 == 3) values.values[i] = std::numeric_limits<T>::quiet_NaN();
    if (i % 53 == 5) values.values[i] = -std::numeric_limits<T>::infinity();
  }
  return values;
}

template <class T>
void agrees_with_a_stable_sort(const Matrix<T>& a, const Matrix<T>& b) {
  const std::size_t n = a.rows;
  for (const std::size_t k : {std::size_t{0}, std::size_t{1}, n / 100, n / 2, n}) {
    if (k > n) continue;
    std::vector<std::int64_t> indices(k);
    const std::size_t nan_count = ssiqa::smallest_difference(a.flat(), b.flat(), k, indices.data(), 3);
    CHECK(indices == ssiqa::reference::smallest_difference(a.flat(), b.flat(), k));
    std::size_t expected = 0;
    for (std::size_t i = 0; i < n; ++i) expected += std::isnan(a.values[i] - b.values[i]) ? 1U : 0U;
    CHECK(nan_count == expected);
  }
}

template <class T, class Key>
void merges_in_any_order() {
  const std::size_t n = 1000;
  const std::size_t k = 77;
  const Matrix<T> a = awkward<T>(n, 1);
  const Matrix<T> b = awkward<T>(n, 2);
  const auto part = [&](std::size_t begin, std::size_t end) {
    return ssiqa::select<Key>(a.flat(), b.flat(), begin, end, k);
  };
  const auto sorted = [](auto selection) {
    std::ranges::sort(selection.keys);
    return selection.keys;
  };
  const auto whole = sorted(part(0, n));
  const auto left = ssiqa::merge(ssiqa::merge(part(0, 10), part(10, 600), k), part(600, n), k);
  const auto right = ssiqa::merge(part(600, n), ssiqa::merge(part(10, 600), part(0, 10), k), k);
  CHECK(sorted(left) == whole);
  CHECK(sorted(right) == whole);
  CHECK(left.nan_count == right.nan_count);
}

template <class T>
void all() {
  for (const std::size_t n : {0U, 1U, 100U, 300'000U}) {
    agrees_with_a_stable_sort(awkward<T>(n, 1), awkward<T>(n, 2));
    agrees_with_a_stable_sort(Matrix<T>(n, 1, 3), Matrix<T>(n, 1, 4));
  }
  const Matrix<T> three(3, 1, 1);
  std::int64_t indices[4];
  ssiqa::test::check_throws<std::invalid_argument>(
      [&] { ssiqa::smallest_difference(three.flat(), three.flat(), 4, indices, 1); });
}

}  // namespace

int main() {
  return ssiqa::test::run([] {
    all<float>();
    all<double>();
    merges_in_any_order<float, ssiqa::NarrowKey>();
    merges_in_any_order<double, ssiqa::WideKey>();
  });
}
