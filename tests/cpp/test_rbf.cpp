#include "rbf.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <new>
#include <span>

#include "check.h"
#include "reference.h"

// Workspace is aligned memory, and nothing else here is: the size of the largest piece.
namespace {
std::atomic<std::size_t> largest{0};
}

void* operator new(std::size_t size, std::align_val_t alignment) {
  const std::size_t unit = static_cast<std::size_t>(alignment);
  std::size_t before = largest;
  while (before < size && !largest.compare_exchange_weak(before, size)) {
  }
  void* const memory = std::aligned_alloc(unit, (size + unit - 1) / unit * unit);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept { std::free(memory); }

namespace {

using ssiqa::test::Matrix;

template <class T>
void agrees_with_reference(std::size_t n, std::size_t m, std::size_t d) {
  const Matrix<T> x(n, d, 1);
  const Matrix<T> z(m, d, 2);
  const Matrix<T> coef(m, 3, 3);
  const double gamma = 0.5 / static_cast<double>(d + 1);
  const double epsilon = std::numeric_limits<T>::epsilon();
  // Four products make a distance. Around the mean no row here is longer than 2 sqrt(d) + 4, but for one in 10^5.
  const double square = 4 * (static_cast<double>(d) + 4 * std::sqrt(static_cast<double>(d)) + 4);
  const double bound =
      epsilon * (8 + std::sqrt(static_cast<double>(d))) + 4 * gamma * square * ssiqa::test::product_error<T>();

  std::vector<T> kernel(n * m, T{-1});
  ssiqa::rbf_kernel(x.view(), z.view(), gamma, kernel.data(), 3);
  const auto expected = ssiqa::reference::rbf_kernel(x.view(), z.view(), gamma);
  for (std::size_t i = 0; i < n * m; ++i) CHECK(std::abs(kernel[i] - expected[i]) <= bound);

  std::vector<T> product(n * 3);
  ssiqa::rbf_matvec(x.view(), z.view(), coef.view(), gamma, ssiqa::Accumulate::float64, product.data(), 3);
  const auto expected_product = ssiqa::reference::rbf_matvec(x.view(), z.view(), coef.view(), gamma);
  for (std::size_t i = 0; i < n * 3; ++i) {
    CHECK(std::abs(product[i] - expected_product[i]) <= 4 * bound * static_cast<double>(m));
  }
}

// No buffer grows with the rows, however few features are padded to however many.
template <class T>
void workspace_is_bounded(std::size_t d) {
  const std::size_t rows = std::size_t{1} << (d < 10 ? 20U : 16U);
  const Matrix<T> x(2, d, 1);
  const std::vector<T> zeros(rows * d, T{0});
  const std::vector<T> ones(rows, T{1});
  std::vector<T> out(2);
  largest = 0;
  ssiqa::rbf_matvec<T>(x.view(), {zeros.data(), rows, d, static_cast<std::ptrdiff_t>(d), 1}, {ones.data(), rows, 1, 1, 1},
                       0.1, ssiqa::Accumulate::float64, out.data(), 2);
  CHECK(largest > 0 && largest <= (std::size_t{8} << 20U) + (std::size_t{1} << 20U));
}

// The stated error: 1e-5 of the sum of K |coef| on standardised features, wherever the origin is and however close the rows.
void fused_product_keeps_its_error(std::size_t d, double offset, bool near_duplicates) {
  const std::size_t n = 40;
  const std::size_t m = 70;
  const Matrix<float> z(m, d, 8, offset);
  Matrix<float> x(n, d, 9, offset);
  if (near_duplicates) {
    const Matrix<float> noise(n, d, 10);
    for (std::size_t i = 0; i < n * d; ++i) x.values[i] = z.values[i] + 1e-3F * noise.values[i];
  }
  const Matrix<float> coef(m, 1, 11);
  const double gamma = 1 / static_cast<double>(d);
  std::vector<float> out(n);
  ssiqa::rbf_matvec(x.view(), z.view(), coef.view(), gamma, ssiqa::Accumulate::float64, out.data(), 2);
  const auto kernel = ssiqa::reference::rbf_kernel(x.view(), z.view(), gamma);
  for (std::size_t i = 0; i < n; ++i) {
    long double exact = 0;
    long double size = 0;
    for (std::size_t j = 0; j < m; ++j) {
      exact += kernel[i * m + j] * static_cast<long double>(coef.values[j]);
      size += kernel[i * m + j] * std::abs(static_cast<long double>(coef.values[j]));
    }
    CHECK(std::abs(out[i] - exact) <= 1e-5L * size);
  }
}

template <class T>
void symmetric_equals_general(std::size_t n, std::size_t d) {
  const Matrix<T> x(n, d, 4, 1000);
  const Matrix<T> copy = x;
  std::vector<T> mirrored(n * n);
  std::vector<T> general(n * n);
  ssiqa::squared_distances(x.view(), x.view(), mirrored.data(), 3);
  ssiqa::squared_distances(x.view(), copy.view(), general.data(), 1);
  CHECK(mirrored == general);
  for (std::size_t i = 0; i < n; ++i) CHECK(mirrored[i * n + i] == 0);
}

// Rows get the same bits in the highest blocks, in the lowest, and on any number of threads.
template <class T>
void blocks_do_not_show(std::size_t n, std::size_t d) {
  const std::size_t part = 110;
  const Matrix<T> x(n, d, 12);
  const Matrix<T> z(70, d, 13);
  const Matrix<T> coef(70, 1, 14);
  const auto product = [&](std::size_t first, std::size_t rows, std::size_t threads) {
    const ssiqa::MatrixView<T> some{x.values.data() + first * d, rows, d, static_cast<std::ptrdiff_t>(d), 1};
    std::vector<T> out(rows);
    ssiqa::rbf_matvec(some, z.view(), coef.view(), 0.5 / static_cast<double>(d), ssiqa::Accumulate::float64, out.data(),
                      threads);
    return out;
  };
  const std::vector<T> whole = product(0, n, 1);
  CHECK(product(0, n, 3) == whole);
  for (std::size_t first = 0; first < n; first += part) {
    const std::vector<T> some = product(first, part, 1);
    CHECK(std::ranges::equal(some, std::span(whole).subspan(first, part)));
  }
}

template <class T>
void exponential_is_accurate() {
  // In one dimension around a pair of rows the argument of the exponential is known exactly.
  const double tiny = std::numeric_limits<T>::min();
  for (double gamma = 1e-9; gamma < 1500; gamma *= 1.01) {
    const std::vector<T> rows{0, 2};  // the mean of z is 2, so that the squared distance is 4 without rounding
    const ssiqa::MatrixView<T> x{rows.data(), 1, 1, 1, 1};
    const ssiqa::MatrixView<T> z{rows.data() + 1, 1, 1, 1, 1};
    T value = 0;
    ssiqa::rbf_kernel(x, z, gamma, &value, 1);
    const long double expected = std::exp(-4 * static_cast<long double>(static_cast<T>(gamma)));
    if (expected < tiny) {
      CHECK(value <= 1.01 * tiny);
    } else {
      CHECK(std::abs(value - expected) <= 2 * std::numeric_limits<T>::epsilon() * expected);
    }
  }
}

template <class T>
void strides_and_bad_numbers() {
  Matrix<T> x(6, 4, 5);
  std::vector<T> forward(36);
  std::vector<T> backward(36);
  const ssiqa::MatrixView<T> reversed{x.values.data() + 20, 6, 4, -4, 1};
  ssiqa::squared_distances(x.view(), x.view(), forward.data(), 1);
  ssiqa::squared_distances(reversed, reversed, backward.data(), 1);
  for (std::size_t i = 0; i < 36; ++i) CHECK(std::abs(forward[i] - backward[35 - i]) < 1e-5);

  const auto refused = [&](T value) {
    x.values[7] = value;
    ssiqa::test::check_throws<std::invalid_argument>(
        [&] { ssiqa::squared_distances(x.view(), x.view(), forward.data(), 1); });
  };
  refused(std::numeric_limits<T>::quiet_NaN());
  refused(std::numeric_limits<T>::infinity());
  refused(std::numeric_limits<T>::max());
}

template <class T>
void all() {
  for (const std::size_t d : {0U, 1U, 7U, 192U, 193U, 400U}) {
    agrees_with_reference<T>(1, 1, d);
    agrees_with_reference<T>(9, 50, d);
    symmetric_equals_general<T>(101, d);
  }
  agrees_with_reference<T>(130, 200, 33);
  agrees_with_reference<T>(0, 3, 5);
  agrees_with_reference<T>(3, 0, 5);
  symmetric_equals_general<T>(144, 8);  // whole panels: nothing may be read beyond them
  symmetric_equals_general<T>(500, 65);
  blocks_do_not_show<T>(3300, 40);
  blocks_do_not_show<T>(1100, 1500);  // panels of fewer rows fill the second-level cache
  exponential_is_accurate<T>();
  strides_and_bad_numbers<T>();
}

}  // namespace

int main() {
  return ssiqa::test::run([] {
    all<float>();
    all<double>();
    for (const std::size_t d : {1U, 3U, 33U, 1000U}) {
      workspace_is_bounded<float>(d);
      workspace_is_bounded<double>(d);
    }
    for (const std::size_t d : {192U, 384U, 768U, 1280U}) {
      for (const double offset : {0.0, 1e3, 1e4}) {
        fused_product_keeps_its_error(d, offset, false);
        fused_product_keeps_its_error(d, offset, true);
      }
    }
  });
}
