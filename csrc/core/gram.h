// The kernel matrix of rows with themselves, as the triangle that a fit needs.
#pragma once

#include <cstddef>

#include "triangle.h"
#include "view.h"

namespace ssiqa {

// K + alpha I in double for either T. Throws std::invalid_argument for rows that are not finite, and for a gamma or alpha
// that is not finite or is negative.
template <class T>
Triangle<double> regularised_kernel(const MatrixView<T>& x, double gamma, double alpha, std::size_t threads);

}  // namespace ssiqa
