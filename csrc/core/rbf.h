// Squared distances and the radial basis function kernel exp(-gamma |x - z|^2), as matrices or as products.
#pragma once

#include <cmath>
#include <cstddef>
#include <stdexcept>

#include "view.h"

namespace ssiqa {

template <class T>
T checked_gamma(double gamma) {
  const T value = static_cast<T>(gamma);
  if (!(std::isfinite(value) && value >= 0)) {
    throw std::invalid_argument("gamma must be a finite number that is not negative.");
  }
  return value;
}

// All throw std::invalid_argument for numbers that are not finite, or a gamma that is negative. T is float or double.
// Distances are |x|^2 + |z|^2 - 2 x.z around the mean of z, at least 0, and exactly 0 between identical rows.

// out: x.rows by z.rows, row by row. When z is x itself, one half is computed and mirrored.
template <class T>
void squared_distances(const MatrixView<T>& x, const MatrixView<T>& z, T* out, std::size_t threads);

template <class T>
void rbf_kernel(const MatrixView<T>& x, const MatrixView<T>& z, double gamma, T* out, std::size_t threads);

enum class Accumulate { float32, float64 };

// out = K(x, z) coef, x.rows by coef.cols. K is never stored: the workspace is 24 MB, and 1.5 for each
// thread, for any number of rows (up to about a thousand features or targets). Sums across blocks are kept in double,
// or in T with float32. Throws std::invalid_argument for coefficients that are not finite and a product that overflows.
template <class T>
void rbf_matvec(const MatrixView<T>& x, const MatrixView<T>& z, const MatrixView<T>& coef, double gamma,
                Accumulate accumulate, T* out, std::size_t threads);

// Bytes of that workspace, without the threads' own, for so many rows of x and of z; the functions above that have no
// targets take no more.
std::size_t rbf_workspace(std::size_t rows, std::size_t others, std::size_t features, std::size_t targets);

}  // namespace ssiqa
