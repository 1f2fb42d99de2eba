// The error for a matrix that has no Cholesky factor in double, or none that solves with it, and what it says.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>

#include "cholesky.h"
#include "view.h"

namespace ssiqa {

class IllConditioned : public std::runtime_error {
 public:
  IllConditioned(const std::string& message, std::size_t pivot, double condition)
      : std::runtime_error(message), pivot_(pivot), condition_(condition) {}
  std::size_t pivot() const { return pivot_; }  // row, counted from 0

  // The 1-norm divided by the pivot, or by rounding error where nothing was left of it: the smallest eigenvalue is no
  // larger than a pivot, so that the condition number is about as large as this or larger.
  double condition() const { return condition_; }

 private:
  std::size_t pivot_;
  double condition_;
};

// A singular matrix often passes with a pivot made of rounding error alone; one that is not above this is no pivot.
double pivot_floor(std::size_t rows, double alpha);

// What was found: a pivot of the factor that is none, or a factor by whose help the solution does not settle.
enum class Unsolved { not_definite, not_refined };

// For the kernel matrix of x plus alpha I, whose 1-norm is `norm`, and the pivot that failed or else the smallest one.
template <class T>
[[noreturn]] void refuse(const MatrixView<T>& x, double alpha, double norm, Unsolved reason, const BadPivot& pivot);

}  // namespace ssiqa
