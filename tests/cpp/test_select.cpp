#include "selection.h"

#include <cmath>
#include <limits>

#include "check.h"
#include "reference.h"

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
std::vector<std::int64_t> indices_of(const ssiqa::Selection<T>& selection) {
  std::vector<std::int64_t> indices;
  for (const auto& key : selection.keys) indices.push_back(key.index);
  return indices;
}

template <class T>
void agrees_with_a_stable_sort(const Matrix<T>& a, const Matrix<T>& b) {
  const std::size_t n = a.rows;
  for (const std::size_t k : {std::size_t{0}, std::size_t{1}, n / 100, n / 2, n}) {
    if (k > n) continue;
    const auto selection = ssiqa::select(a.flat(), b.flat(), k, 0, 3);
    CHECK(indices_of(selection) == ssiqa::reference::smallest_difference(a.flat(), b.flat(), k));
    std::size_t expected = 0;
    for (std::size_t i = 0; i < n; ++i) expected += std::isnan(a.values[i] - b.values[i]) ? 1U : 0U;
    CHECK(selection.nan_count == expected);
    CHECK(selection.seen == n);
  }
}

template <class T>
void merges_in_any_order() {
  const std::size_t n = 1000;
  const std::size_t k = 77;
  const Matrix<T> a = awkward<T>(n, 1);
  const Matrix<T> b = awkward<T>(n, 2);
  const auto part = [&](std::size_t begin, std::size_t end) {
    const auto cut = [&](const Matrix<T>& m) { return ssiqa::VectorView<T>{m.values.data() + begin, end - begin, 1}; };
    return ssiqa::select(cut(a), cut(b), k, static_cast<std::int64_t>(begin), 2);
  };
  const auto whole = part(0, n);
  const auto left = ssiqa::merge(ssiqa::merge(part(0, 10), part(10, 600), k), part(600, n), k);
  const auto right = ssiqa::merge(part(600, n), ssiqa::merge(part(10, 600), part(0, 10), k), k);
  for (const auto& merged : {left, right}) {
    CHECK(merged.keys == whole.keys);
    CHECK(merged.nan_count == whole.nan_count);
    CHECK(merged.seen == n);
  }
}

// Inputs for which a bound taken from a sample says little.
template <class T>
void awkward_distributions() {
  const std::size_t n = 200'000;
  Matrix<T> values(n, 1, 5);
  Matrix<T> none(n, 1, 6);
  std::ranges::fill(none.values, T{0});
  for (const int kind : {0, 1, 2, 3}) {
    for (std::size_t i = 0; i < n; ++i) {
      if (kind == 0) values.values[i] = 1;
      if (kind == 1) values.values[i] = static_cast<T>(n - i);
      if (kind == 2) values.values[i] = i % 1000 == 0 ? T{0} : std::numeric_limits<T>::quiet_NaN();
      if (kind == 3) values.values[i] = i < n / 2 ? T{1} : 1 + std::numeric_limits<T>::epsilon();
    }
    for (const std::size_t k : {std::size_t{1}, n / 100, n - 1}) {
      CHECK(indices_of(ssiqa::select(values.flat(), none.flat(), k, 0, 2)) ==
            ssiqa::reference::smallest_difference(values.flat(), none.flat(), k));
    }
  }
}

template <class T>
void all() {
  for (const std::size_t n : {0U, 1U, 100U, 300'000U}) {
    agrees_with_a_stable_sort(awkward<T>(n, 1), awkward<T>(n, 2));
    agrees_with_a_stable_sort(Matrix<T>(n, 1, 3), Matrix<T>(n, 1, 4));
  }
  merges_in_any_order<T>();
  awkward_distributions<T>();
}

}  // namespace

int main() {
  return ssiqa::test::run([] {
    all<float>();
    all<double>();
  });
}
