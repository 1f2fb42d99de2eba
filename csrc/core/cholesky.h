// The Cholesky factorisation A = L L' of a symmetric matrix in tiles, and solves with its factor.
#pragma once

#include <cstddef>
#include <optional>

#include "triangle.h"

namespace ssiqa {

// Where a factorisation stopped: the row, counted from 0, and what was left of its diagonal entry.
struct BadPivot {
  std::size_t row;
  double value;
};

// Overwrites A with L, or stops at the first pivot that is not above `floor`, which is at least 0. No result of this
// file depends on the number of threads.
template <class T>
std::optional<BadPivot> factorise(Triangle<T>& a, double floor, std::size_t threads);

template <class T>
BadPivot smallest_pivot(const Triangle<T>& factor);

// x = A^-1 x for each of `count` vectors of padded() numbers, one after another; those beyond the order are 0.
template <class T>
void solve(const Triangle<T>& factor, T* x, std::size_t count, std::size_t threads);

// x = L^-1 x for `count` panels of nr columns each, one after another: padded() lines of nr numbers, of which those
// beyond the order are 0. All are products of panels, for many columns at once; on the calling thread.
template <class T>
void solve_lower(const Triangle<T>& factor, T* x, std::size_t count);

}  // namespace ssiqa
