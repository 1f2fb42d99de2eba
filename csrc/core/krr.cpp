#include "krr.h"

#include <cmath>
#include <limits>
#include <sstream>

#include "buffer.h"
#include "rbf.h"

namespace ssiqa {
namespace {

[[noreturn]] void refuse(std::size_t pivot, double alpha) {
  std::ostringstream message;
  message << "The kernel matrix plus alpha = " << alpha << " is not numerically positive definite at row " << pivot
          << "; use a larger alpha or gamma, or drop duplicate rows.";
  throw IllConditioned(message.str(), pivot);
}

// The Cholesky factor of `matrix` in place. LAPACK reads columns: our entries on and above the diagonal are its lower ones.
void factorise(Buffer<double>& matrix, int n, double alpha, const Lapack& lapack) {
  const std::size_t size = static_cast<std::size_t>(n);
  char lower = 'L';
  int info = 0;
  lapack.potrf(&lower, &n, matrix.data(), &n, &info);
  if (info != 0) refuse(static_cast<std::size_t>(info > 0 ? info - 1 : 0), alpha);
  // A singular matrix often passes with a pivot made of rounding error alone.
  const double floor = static_cast<double>(n) * std::numeric_limits<double>::epsilon() * (1 + alpha);
  for (std::size_t i = 0; i < size; ++i) {
    const double pivot = matrix[i * size + i] * matrix[i * size + i];
    if (!(pivot > floor)) refuse(i, alpha);
  }
}

}  // namespace

template <class T>
void krr_fit(const MatrixView<T>& x, const MatrixView<T>& y, double gamma, double alpha, const Lapack& lapack, T* out,
             std::size_t threads) {
  if (!(std::isfinite(alpha) && alpha >= 0)) {
    throw std::invalid_argument("alpha must be a finite number that is not negative.");
  }
  if (x.rows > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    throw std::invalid_argument("x has more rows than LAPACK can count.");
  }
  const std::size_t size = x.rows;
  int n = static_cast<int>(size);
  int targets = static_cast<int>(y.cols);
  Buffer<double> solution(size * y.cols);  // column by column
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t t = 0; t < y.cols; ++t) {
      if (!std::isfinite(y(i, t))) throw std::invalid_argument("y must hold finite numbers.");
      solution[t * size + i] = static_cast<double>(y(i, t));
    }
  }
  if (size == 0 || targets == 0) return;

  Buffer<double> matrix(size * size);
  rbf_kernel_upper(x, gamma, matrix.data(), threads);
  for (std::size_t i = 0; i < size; ++i) matrix[i * size + i] += alpha;
  factorise(matrix, n, alpha, lapack);
  char lower = 'L';
  int info = 0;
  lapack.potrs(&lower, &n, &targets, matrix.data(), &n, solution.data(), &n, &info);

  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t t = 0; t < y.cols; ++t) {
      const T value = static_cast<T>(solution[t * size + i]);
      if (!std::isfinite(value)) refuse(i, alpha);
      out[i * y.cols + t] = value;
    }
  }
}

template void krr_fit(const MatrixView<float>&, const MatrixView<float>&, double, double, const Lapack&, float*,
                      std::size_t);
template void krr_fit(const MatrixView<double>&, const MatrixView<double>&, double, double, const Lapack&, double*,
                      std::size_t);

}  // namespace ssiqa
