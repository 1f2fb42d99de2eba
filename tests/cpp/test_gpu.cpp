// The GPU's kernels on a model of a GPU.
#include "check.h"
#include "direct.h"
#include "hopper_model.h"
#include "reference.h"
#include "smallest.h"
#include "tensor.h"

namespace {

namespace gpu = ssiqa::gpu;
using gpu::Entries;
using gpu::Products;
using ssiqa::MatrixView;
using ssiqa::test::Matrix;

struct Size {
  std::size_t n, m, d;
};

// Memory that starts as NaN, for what says how much of it it needs.
template <class Queue>
void with_scratch(const Queue& queue) {
  gpu::Scratch counted;
  queue(counted);
  std::vector<char> memory(counted.bytes() + 256, '\xFF');
  const auto offset = 256 - reinterpret_cast<std::uintptr_t>(memory.data()) % 256;
  gpu::Scratch scratch(memory.data() + offset);
  queue(scratch);
}

template <class T>
std::vector<T> poisoned(std::size_t count) {
  return std::vector<T>(count, std::numeric_limits<T>::quiet_NaN());
}

// The largest error of `found`, each in units of `scale`.
template <class T>
double error(const std::vector<T>& found, const std::vector<long double>& expected, const std::vector<long double>& scale) {
  double largest = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    CHECK(!std::isnan(found[i]));
    if (found[i] == expected[i]) continue;
    largest = std::max(largest, static_cast<double>(std::abs(found[i] - expected[i]) / scale[i]));
  }
  return largest;
}

template <class T>
void direct(const Size& size, std::size_t targets, std::size_t batches) {
  const Matrix<T> x(batches * size.n, size.d, 1), z(batches * size.m, size.d, 2), coef(batches * size.m, targets, 3);
  const auto batch = [&](const Matrix<T>& matrix, std::size_t rows) {
    return gpu::Batch<T>{{matrix.values.data(), rows, matrix.cols, static_cast<std::ptrdiff_t>(matrix.cols), 1},
                         static_cast<std::ptrdiff_t>(rows * matrix.cols)};
  };
  std::vector<double> gammas;
  for (std::size_t b = 0; b < batches; ++b) gammas.push_back(0.5 / static_cast<double>(size.d + b + 1));
  std::vector<T> out = poisoned<T>(batches * size.n * targets), kernel = poisoned<T>(batches * size.n * size.m);
  with_scratch([&](gpu::Scratch& scratch) {
    gpu::queue_direct_matvec(batch(x, size.n), batch(z, size.m), batch(coef, size.m), batches, gammas.data(), out.data(),
                             scratch, nullptr);
  });
  gpu::queue_direct_matrix(batch(x, size.n), batch(z, size.m), batches, Entries::kernel, static_cast<T>(gammas[0]),
                           kernel.data(), nullptr);
  for (std::size_t b = 0; b < batches; ++b) {
    const auto left = batch(x, size.n)[b], right = batch(z, size.m)[b], weights = batch(coef, size.m)[b];
    std::vector<T> magnitudes;
    for (std::size_t i = 0; i < size.m * targets; ++i) magnitudes.push_back(std::abs(weights.data[i]));
    const MatrixView<T> absolute{magnitudes.data(), size.m, targets, static_cast<std::ptrdiff_t>(targets), 1};
    const auto part = [&](const std::vector<T>& all, std::size_t each) {
      return std::vector<T>(all.begin() + static_cast<std::ptrdiff_t>(b * each),
                            all.begin() + static_cast<std::ptrdiff_t>((b + 1) * each));
    };
    const double tolerance = 20 * static_cast<double>(std::numeric_limits<T>::epsilon());
    const auto expected = ssiqa::reference::rbf_kernel(left, right, static_cast<double>(static_cast<T>(gammas[0])));
    CHECK(error(part(kernel, size.n * size.m), expected, expected) < tolerance);
    const double gamma = static_cast<double>(static_cast<T>(gammas[b]));
    CHECK(error(part(out, size.n * targets), ssiqa::reference::rbf_matvec(left, right, weights, gamma),
                ssiqa::reference::rbf_matvec(left, right, absolute, gamma)) < tolerance);
  }
}

std::vector<float> tensor_kernel(const Matrix<float>& x, const Matrix<float>& z, float gamma, Products products) {
  std::vector<float> kernel = poisoned<float>(x.rows * z.rows);
  with_scratch([&](gpu::Scratch& scratch) {
    gpu::queue_tensor_matrix(x.view(), z.view(), Entries::kernel, gamma, products, kernel.data(), scratch, nullptr);
  });
  return kernel;
}

// Rows so near to each other, and to 0, that their units would be no floats.
void tiny() {
  Matrix<float> x(3, 40, 1), z(5, 40, 2);
  for (Matrix<float>* rows : {&x, &z}) {
    for (float& value : rows->values) value *= 1e-40F;
  }
  for (const float value : tensor_kernel(x, z, 1, Products::high)) CHECK(value == 1);
}

// The first rows are the same.
std::pair<Matrix<float>, Matrix<float>> rows_for_tensor_cores(const Size& size) {
  Matrix<float> x(size.n, size.d, 1, 5), z(size.m, size.d, 2, 5);
  std::copy_n(z.values.begin(), size.d, x.values.begin());
  return {x, z};
}

double tolerance_of(Products products) { return products == Products::high ? 1e-5 : 1e-2; }

void tensor_matrix(const Size& size, Products products) {
  const auto [x, z] = rows_for_tensor_cores(size);
  const float gamma = 1.0F / static_cast<float>(size.d);
  const std::vector<float> kernel = tensor_kernel(x, z, gamma, products);
  std::vector<float> distances = poisoned<float>(kernel.size());
  with_scratch([&](gpu::Scratch& scratch) {
    gpu::queue_tensor_matrix(x.view(), z.view(), Entries::distances, gamma, products, distances.data(), scratch, nullptr);
  });
  const double tolerance = tolerance_of(products);
  const auto expected = ssiqa::reference::rbf_kernel(x.view(), z.view(), gamma);
  const std::vector<long double> one(expected.size(), 1);
  CHECK(error(kernel, expected, one) < tolerance);
  std::vector<long double> exponents;
  for (const long double value : expected) exponents.push_back(-std::log(value) / gamma);
  CHECK(error(distances, exponents, one) < tolerance / gamma);
  CHECK(kernel[0] == 1);
}

// Sums are cut off: of rows that are far from each other, near, or the same, whose products are of different sizes.
void cut_off(std::size_t features, double tolerance) {
  const Size size{20, 20, features};
  auto [x, z] = rows_for_tensor_cores(size);
  for (std::size_t i = size.d; i < x.values.size() / 2; ++i) {
    const float factor = std::pow(10.0F, -static_cast<float>(i / size.d % 4));
    x.values[i] = z.values[i] + factor * (x.values[i] - z.values[i]);
  }
  const float gamma = 1.0F / static_cast<float>(size.d);
  const auto expected = ssiqa::reference::rbf_kernel(x.view(), z.view(), gamma);
  CHECK(error(tensor_kernel(x, z, gamma, Products::high), expected, expected) < tolerance);
}

// What is no number stays in its own row and column, and the largest gammas leave rows that are the same alone.
void extremes(Products products) {
  auto [x, z] = rows_for_tensor_cores({7, 9, 40});
  CHECK(tensor_kernel(x, z, std::numeric_limits<float>::max(), products)[0] == 1);
  x.values[2 * 40 + 3] = std::numeric_limits<float>::quiet_NaN();
  z.values[4 * 40] = std::numeric_limits<float>::infinity();
  const std::vector<float> kernel = tensor_kernel(x, z, 0.01F, products);
  for (std::size_t i = 0; i < kernel.size(); ++i) CHECK(std::isnan(kernel[i]) == (i / 9 == 2 || i % 9 == 4));
}

void tensor_matvec(const Size& size, std::size_t targets, Products products) {
  const auto [x, z] = rows_for_tensor_cores(size);
  const Matrix<float> coef(size.m, targets, 3);
  Matrix<float> absolute = coef;
  for (float& value : absolute.values) value = std::abs(value);
  const float gamma = 1.0F / static_cast<float>(size.d);
  std::vector<float> out = poisoned<float>(size.n * targets);
  with_scratch([&](gpu::Scratch& scratch) {
    gpu::queue_tensor_matvec(x.view(), z.view(), coef.view(), gamma, products, out.data(), scratch, nullptr);
  });
  CHECK(error(out, ssiqa::reference::rbf_matvec(x.view(), z.view(), coef.view(), gamma),
              ssiqa::reference::rbf_matvec(x.view(), z.view(), absolute.view(), gamma)) < tolerance_of(products));
}

template <class T>
void selection(std::size_t n, T step) {
  Matrix<T> a(n, 1, 1), b(n, 1, 2);
  for (std::size_t i = 0; i < n; ++i) {
    if (step > 0) a.values[i] = step * std::round(a.values[i] / step), b.values[i] = step * std::round(b.values[i] / step);
    if (i % 41 == 3) a.values[i] = std::numeric_limits<T>::quiet_NaN();
    if (i % 53 == 5) b.values[i] = -std::numeric_limits<T>::infinity();
  }
  for (const std::size_t k : {std::size_t{0}, std::size_t{1}, n / 3, n - 1, n}) {
    std::vector<std::int64_t> found(k, -1);
    with_scratch([&](gpu::Scratch& scratch) {
      gpu::queue_smallest_difference(a.flat(), b.flat(), k, found.data(), scratch, nullptr);
    });
    CHECK(found == ssiqa::reference::smallest_difference(a.flat(), b.flat(), k));
  }
}

}  // namespace

int main() {
  for (const bool descending : {false, true}) {
    gpu::model::descending = descending;
    for (const Size& size : {Size{1, 1, 1}, Size{70, 130, 17}, Size{5, 200, 40}}) {
      direct<float>(size, 1, 1);
      direct<double>(size, 5, 3);
    }
    direct<float>({5, 0, 3}, 1, 2);
    direct<float>({5, 7, 0}, 1, 1);
    for (const std::size_t n : {std::size_t{1}, std::size_t{40}, std::size_t{9'000}}) {
      selection<float>(n, 0);
      selection<float>(n, 0.5F);
      selection<double>(n, 0);
    }
    struct Device {
      std::size_t shared;
      bool wgmma;
    };
    for (const auto& [shared, wgmma] : {Device{99, false}, Device{227, false}, Device{227, true}}) {
      gpu::model::most_shared = shared << 10U;
      gpu::model::wgmma = wgmma;
      tiny();
      for (const Products products : {Products::high, Products::medium}) extremes(products);
      if (!descending) {
        cut_off(384, 4e-6);
        if (shared == 99) cut_off(1280, 1e-5);
      }
      // The last one goes around all stages of the widest tiling more than once.
      for (const Size& size : {Size{1, 1, 1}, Size{130, 300, 70}, Size{5, 40, 300}}) {
        for (const Products products : {Products::high, Products::medium}) {
          tensor_matrix(size, products);
          tensor_matvec(size, 1, products);
        }
        tensor_matvec(size, 5, Products::high);
      }
    }
  }
  // More rows of x than are prepared at once.
  gpu::model::multiprocessors = 1;
  tensor_matvec({8 * 128 + 140, 3, 20}, 1, Products::high);
  return 0;
}
