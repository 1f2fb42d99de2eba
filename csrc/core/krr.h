// Kernel ridge regression: the dual coefficients (K + alpha I)^-1 y.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>

#include "view.h"

namespace ssiqa {

// The two LAPACK routines used, in the calling convention of Fortran; whoever starts the library knows where they are.
struct Lapack {
  using Potrf = void (*)(char* uplo, int* n, double* a, int* lda, int* info);
  using Potrs = void (*)(char* uplo, int* n, int* nrhs, double* a, int* lda, double* b, int* ldb, int* info);
  Potrf potrf;
  Potrs potrs;
};

class IllConditioned : public std::runtime_error {
 public:
  IllConditioned(const std::string& message, std::size_t pivot) : std::runtime_error(message), pivot_(pivot) {}
  std::size_t pivot() const { return pivot_; }  // row, counted from 0

 private:
  std::size_t pivot_;
};

// out: y.rows by y.cols. The matrix is built and factorised in double for either T, in x.rows^2 doubles of workspace.
// Throws IllConditioned when a pivot is not above the rounding error, std::invalid_argument for bad numbers.
template <class T>
void krr_fit(const MatrixView<T>& x, const MatrixView<T>& y, double gamma, double alpha, const Lapack& lapack, T* out,
             std::size_t threads);

}  // namespace ssiqa
