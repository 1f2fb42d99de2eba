// Conjugate gradients on a matrix in double, preconditioned by the factor of a matrix near to it.
#pragma once

#include <cstddef>

#include "triangle.h"

namespace ssiqa {

// Solves A x = b for `count` vectors of padded() numbers, one after another, those beyond the order being 0. F is float or
// double. True once every residual |b - A x| has come down to rounding error: below 2^-53 (norm |x| + |b|), by as much as
// it takes for a further round to gain less than half. `norm` is the 1-norm of A. Otherwise x holds nothing of use.
template <class F>
bool refine(const Triangle<double>& a, double norm, const Triangle<F>& factor, const double* b, double* x,
            std::size_t count, std::size_t threads);

}  // namespace ssiqa
