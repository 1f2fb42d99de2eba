// The places where two vectors differ least, in one pass over them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "view.h"

namespace ssiqa {

// indices: room for k. Ordered by (|a - b|, index), the difference computed in T; NaN differences come last, by index.
// Returns the number of NaN differences in the whole. Throws std::invalid_argument if k > a.size.
template <class T>
std::size_t smallest_difference(const VectorView<T>& a, const VectorView<T>& b, std::size_t k, std::int64_t* indices,
                                std::size_t threads);

}  // namespace ssiqa
