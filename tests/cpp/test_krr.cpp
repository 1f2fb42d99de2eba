#include "krr.h"

#include <cmath>
#include <limits>

#include "check.h"
#include "reference.h"

namespace {

using ssiqa::test::Matrix;

constexpr ssiqa::Lapack kLapack{ssiqa::reference::potrf, ssiqa::reference::potrs};

template <class T>
void solves_the_system() {
  const std::size_t n = 60;
  const Matrix<T> x(n, 5, 1);
  const Matrix<T> y(n, 2, 2);
  std::vector<T> coef(n * 2);
  ssiqa::krr_fit(x.view(), y.view(), 0.1, 0.5, kLapack, coef.data(), 2);
  const ssiqa::MatrixView<T> coef_view{coef.data(), n, 2, 2, 1};
  const auto product = ssiqa::reference::rbf_matvec(x.view(), x.view(), coef_view, 0.1);
  for (std::size_t i = 0; i < n * 2; ++i) {
    CHECK(std::abs(product[i] + 0.5 * coef[i] - y.values[i]) < 200 * std::numeric_limits<T>::epsilon());
  }
}

template <class T>
void refuses_a_singular_matrix() {
  Matrix<T> x(20, 3, 1);
  const Matrix<T> y(20, 1, 2);
  std::copy_n(x.values.data(), 3, x.values.data() + 3 * 13);
  std::vector<T> coef(20);
  std::size_t pivot = 0;
  try {
    ssiqa::krr_fit(x.view(), y.view(), 1.0, 0.0, kLapack, coef.data(), 1);
  } catch (const ssiqa::IllConditioned& error) {
    pivot = error.pivot();
  }
  CHECK(pivot == 13);
}

template <class T>
void refuses_bad_numbers() {
  const Matrix<T> x(4, 2, 1);
  Matrix<T> y(4, 1, 2);
  std::vector<T> coef(4);
  const auto refused = [&](double gamma, double alpha) {
    ssiqa::test::check_throws<std::invalid_argument>(
        [&] { ssiqa::krr_fit(x.view(), y.view(), gamma, alpha, kLapack, coef.data(), 1); });
  };
  refused(-1, 1);
  refused(1, -1);
  refused(std::numeric_limits<double>::infinity(), 1);
  refused(1, std::numeric_limits<double>::quiet_NaN());
  y.values[2] = std::numeric_limits<T>::quiet_NaN();
  refused(1, 1);
}

template <class T>
void all() {
  solves_the_system<T>();
  refuses_a_singular_matrix<T>();
  refuses_bad_numbers<T>();
}

}  // namespace

int main() {
  return ssiqa::test::run([] {
    all<float>();
    all<double>();
  });
}
