#include "ill_conditioned.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

namespace ssiqa {
namespace {

// A power of ten with a margin of ten above the floor, for the rounding errors of the kernel and of the factor.
double sufficient_alpha(std::size_t rows, double alpha) {
  const double power = std::ceil(std::log10(std::max(10 * pivot_floor(rows, 0), 2 * alpha)));
  return std::min(std::pow(10.0, power), std::numeric_limits<double>::max());
}

template <class T>
bool same_row(const MatrixView<T>& x, std::size_t i, std::size_t j) {
  for (std::size_t k = 0; k < x.cols; ++k) {
    if (x(i, k) != x(j, k)) return false;
  }
  return true;
}

}  // namespace

double pivot_floor(std::size_t rows, double alpha) {
  return static_cast<double>(rows) * std::numeric_limits<double>::epsilon() * (1 + alpha);
}

template <class T>
void refuse(const MatrixView<T>& x, double alpha, double norm, Unsolved reason, const BadPivot& pivot) {
  std::ostringstream message;
  message << "The kernel matrix plus alpha = " << alpha
          << (reason == Unsolved::not_definite
                  ? " is not numerically positive definite at row "
                  : " is so ill-conditioned that refinement did not converge, most at row ")
          << pivot.row << "; use a larger alpha, such as " << sufficient_alpha(x.rows, alpha) << ", or a larger gamma";
  std::size_t twin = 0;
  while (twin < pivot.row && !same_row(x, twin, pivot.row)) ++twin;
  if (twin < pivot.row) {
    message << ", or drop one of the rows " << twin << " and " << pivot.row << ", which are identical.";
  } else {
    message << ", or drop rows that are nearly the same.";
  }
  const double condition = norm / std::max(pivot.value, std::numeric_limits<double>::epsilon());
  throw IllConditioned(message.str(), pivot.row, condition);
}

template void refuse(const MatrixView<float>&, double, double, Unsolved, const BadPivot&);
template void refuse(const MatrixView<double>&, double, double, Unsolved, const BadPivot&);

}  // namespace ssiqa
