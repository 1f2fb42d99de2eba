#include "selection.h"

#include <cmath>
#include <limits>

#include "check.h"
#include "reference.h"
#include "sample.h"

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
std::vector<std::int64_t> smallest(const Matrix<T>& a, const Matrix<T>& b, std::size_t k) {
  std::vector<std::int64_t> indices(k);
  ssiqa::smallest_difference(a.flat(), b.flat(), k, indices.data(), 3);
  return indices;
}

template <class T>
using Selection = ssiqa::Selection<T, std::uint64_t>;

template <class T>
std::vector<std::int64_t> indices_of(Selection<T> selection) {
  std::vector<std::int64_t> indices;
  for (const auto& key : selection.keys()) indices.push_back(static_cast<std::int64_t>(key.index));
  return indices;
}

// Of the elements [begin, end), shown in chunks of at most `chunk`.
template <class T>
Selection<T> part(const Matrix<T>& a, const Matrix<T>& b, std::size_t begin, std::size_t end, std::size_t k,
                  std::size_t chunk) {
  Selection<T> selection(k);
  for (std::size_t at = begin; at < end; at += chunk) {
    const std::size_t size = std::min(chunk, end - at);
    const auto cut = [&](const Matrix<T>& m) { return ssiqa::VectorView<T>{m.values.data() + at, size, 1}; };
    selection.add(cut(a), cut(b), at, 2);
  }
  return selection;
}

template <class T>
void agrees_with_a_stable_sort(const Matrix<T>& a, const Matrix<T>& b) {
  const std::size_t n = a.rows;
  std::size_t nan_count = 0;
  for (std::size_t i = 0; i < n; ++i) nan_count += std::isnan(a.values[i] - b.values[i]) ? 1U : 0U;
  for (const std::size_t k : {std::size_t{0}, std::size_t{1}, n / 100, n / 2, n}) {
    if (k > n) continue;
    const auto expected = ssiqa::reference::smallest_difference(a.flat(), b.flat(), k);
    CHECK(smallest(a, b, k) == expected);
    for (const std::size_t chunk : {std::size_t{700}, std::size_t{50'000}}) {
      const auto selection = part(a, b, 0, n, k, chunk);
      CHECK(indices_of(selection) == expected);
      CHECK(selection.nan_count() == nan_count);
    }
  }
}

template <class T>
void merges_in_any_order() {
  const std::size_t n = 1000;
  const std::size_t k = 77;
  const Matrix<T> a = awkward<T>(n, 1);
  const Matrix<T> b = awkward<T>(n, 2);
  const std::size_t cuts[] = {0, 10, 600, n};
  const auto expected = ssiqa::reference::smallest_difference(a.flat(), b.flat(), k);
  std::vector<std::size_t> order{0, 1, 2};
  do {
    Selection<T> whole(k);
    for (const std::size_t i : order) whole.merge(part(a, b, cuts[i], cuts[i + 1], k, 300));
    CHECK(indices_of(whole) == expected);
    CHECK(whole.nan_count() == part(a, b, 0, n, k, n).nan_count());
  } while (std::ranges::next_permutation(order).found);
}

// A full selection of later elements must let in earlier ones that are equal to its last.
template <class T>
void earlier_elements_win_ties() {
  const std::size_t n = 40;
  Matrix<T> a(n, 1, 1);
  Matrix<T> b(n, 1, 1);
  for (const T value : {T{3}, std::numeric_limits<T>::quiet_NaN()}) {
    std::ranges::fill(a.values, value);
    std::ranges::fill(b.values, T{0});
    Selection<T> selection(5);
    selection.merge(part(a, b, 20, n, 5, n));
    const ssiqa::VectorView<T> first_of_a{a.values.data(), 20, 1};
    const ssiqa::VectorView<T> first_of_b{b.values.data(), 20, 1};
    selection.add(first_of_a, first_of_b, 0, 1);
    CHECK(indices_of(selection) == (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
  }
}

// A float selection whose indices need more than 32 bits.
void far_away() {
  const Matrix<float> a(3000, 1, 1);
  const Matrix<float> b(3000, 1, 2);
  const std::size_t far = (std::size_t{1} << 32U) + 7;
  Selection<float> selection(9);
  selection.add(a.flat(), b.flat(), far, 1);
  auto expected = ssiqa::reference::smallest_difference(a.flat(), b.flat(), 9);
  for (std::int64_t& index : expected) index += static_cast<std::int64_t>(far);
  CHECK(indices_of(selection) == expected);
}

// Inputs for which a bound taken from a sample says little.
template <class T>
void awkward_distributions() {
  const std::size_t n = 200'000;
  const std::size_t step = 16;  // of the sample of so many
  Matrix<T> values(n, 1, 5);
  Matrix<T> none(n, 1, 6);
  std::ranges::fill(none.values, T{0});
  for (const int kind : {0, 1, 2, 3, 4, 5}) {
    for (std::size_t i = 0; i < n; ++i) {
      if (kind == 0) values.values[i] = 1;
      if (kind == 1) values.values[i] = static_cast<T>(n - i);
      if (kind == 2) values.values[i] = i % 1000 == 0 ? T{0} : std::numeric_limits<T>::quiet_NaN();
      if (kind == 3) values.values[i] = i < n / 2 ? T{1} : 1 + std::numeric_limits<T>::epsilon();
      if (kind == 4) values.values[i] = i < n / 2 ? 1 + std::numeric_limits<T>::epsilon() : T{1};
      if (kind == 5) values.values[i] = 1;
    }
    // The sample sees only zeros, so that the bound that it suggests is too low.
    for (std::size_t i = 0; kind == 5 && i < n / step; ++i) values.values[i * step + ssiqa::scrambled(i) % step] = 0;
    for (const std::size_t k : {std::size_t{1}, n / 100, n / 4, n - 1}) {
      const auto expected = ssiqa::reference::smallest_difference(values.flat(), none.flat(), k);
      CHECK(smallest(values, none, k) == expected);
      CHECK(indices_of(part(values, none, 0, n, k, 7000)) == expected);
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
  earlier_elements_win_ties<T>();
  awkward_distributions<T>();
}

}  // namespace

int main() {
  return ssiqa::test::run([] {
    all<float>();
    all<double>();
    far_away();
  });
}
