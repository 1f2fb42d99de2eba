#include "krr.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "check.h"
#include "reference.h"

namespace {

using ssiqa::test::Matrix;

// Rows with n at most 768 take a factor in double, more of them one in float; the last alpha is too small for float.
template <class T>
void solves_the_system(std::size_t n, double gamma, double alpha) {
  const std::size_t targets = n < 100 ? 11 : 2;
  const Matrix<T> x(n, 5, 1);
  const Matrix<T> y(n, targets, 2);
  std::vector<T> coef(n * targets);
  ssiqa::krr_fit(x.view(), y.view(), gamma, alpha, coef.data(), 2);
  std::vector<T> again(n * targets);
  ssiqa::krr_fit(x.view(), y.view(), gamma, alpha, again.data(), 1);
  CHECK(again == coef);
  const ssiqa::MatrixView<T> coef_view{coef.data(), n, targets, static_cast<std::ptrdiff_t>(targets), 1};
  const auto product = ssiqa::reference::rbf_matvec(x.view(), x.view(), coef_view, gamma);
  // Rounding the coefficients to T, and a residual of one rounding error of double, leave |K| |c| of those.
  for (std::size_t t = 0; t < targets; ++t) {
    long double residual = 0;
    long double scale = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t at = i * targets + t;
      residual += std::pow(product[at] + alpha * static_cast<long double>(coef[at]) - y.values[at], 2);
      scale += std::pow(static_cast<long double>(coef[at]), 2);
    }
    CHECK(std::sqrt(residual) <= static_cast<long double>(n) * std::numeric_limits<T>::epsilon() * std::sqrt(scale));
  }
}

template <class T>
void refuses_a_singular_matrix() {
  Matrix<T> x(20, 3, 1);
  const Matrix<T> y(20, 1, 2);
  std::copy_n(x.values.data(), 3, x.values.data() + 3 * 13);
  std::vector<T> coef(20);
  std::size_t pivot = 0;
  double condition = 0;
  std::string message;
  try {
    ssiqa::krr_fit(x.view(), y.view(), 1.0, 0.0, coef.data(), 1);
  } catch (const ssiqa::IllConditioned& error) {
    pivot = error.pivot();
    condition = error.condition();
    message = error.what();
  }
  CHECK(pivot == 13);
  CHECK(condition >= 1e15);
  CHECK(message.find("rows 0 and 13") != std::string::npos);
}

template <class T>
std::string refusal(double alpha, ssiqa::Unsolved reason) {
  const Matrix<T> x(20, 3, 1);
  try {
    ssiqa::refuse(x.view(), alpha, 1, reason, {13, 0});
  } catch (const ssiqa::IllConditioned& error) {
    return error.what();
  }
}

template <class T>
void says_what_was_found() {
  const auto says = [](double alpha, ssiqa::Unsolved reason, const char* text) {
    return refusal<T>(alpha, reason).find(text) != std::string::npos;
  };
  CHECK(says(0, ssiqa::Unsolved::not_definite, "not numerically positive definite at row 13"));
  CHECK(says(0, ssiqa::Unsolved::not_refined, "refinement did not converge, most at row 13"));
  CHECK(!says(0, ssiqa::Unsolved::not_refined, "positive definite"));
  CHECK(!says(std::numeric_limits<double>::max(), ssiqa::Unsolved::not_definite, "inf"));
}

template <class T>
void refuses_bad_numbers() {
  const Matrix<T> x(4, 2, 1);
  Matrix<T> y(4, 1, 2);
  std::vector<T> coef(4);
  const auto refused = [&](double gamma, double alpha) {
    ssiqa::test::check_throws<std::invalid_argument>(
        [&] { ssiqa::krr_fit(x.view(), y.view(), gamma, alpha, coef.data(), 1); });
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
  solves_the_system<T>(1, 0.1, 0.5);
  solves_the_system<T>(60, 0.1, 0.5);
  solves_the_system<T>(800, 0.1, 0.5);
  solves_the_system<T>(800, 0.01, 1e-9);
  refuses_a_singular_matrix<T>();
  says_what_was_found<T>();
  refuses_bad_numbers<T>();
}

}  // namespace

int main() {
  return ssiqa::test::run([] {
    all<float>();
    all<double>();
  });
}
