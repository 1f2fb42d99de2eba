// Kernel ridge regression: the dual coefficients (K + alpha I)^-1 y.
#pragma once

#include <cstddef>

#include "ill_conditioned.h"
#include "view.h"

namespace ssiqa {

// out: y.rows by y.cols. K is built and kept in double for either T; the factor is computed in float, and the solution
// refined on K until its residual is that of a solve in double. Where float does not suffice, or for few rows, the factor
// is computed in double instead. Workspace: 6 bytes for each of x.rows^2, or 8.
// Throws IllConditioned when a pivot is not above the rounding error or refinement does not converge, and
// std::invalid_argument for bad numbers.
template <class T>
void krr_fit(const MatrixView<T>& x, const MatrixView<T>& y, double gamma, double alpha, T* out, std::size_t threads);

// Bytes of that workspace at most, the rows and targets in double included.
std::size_t krr_workspace(std::size_t rows, std::size_t features, std::size_t targets);

}  // namespace ssiqa
