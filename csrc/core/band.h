// Symmetric matrices by an orthogonal reduction to a band, K = Q B Q', which serves K + alpha I for every alpha: the
// reduction takes 4/3 n^3 operations, Q another 4/3 n^3, and an alpha after that a multiple of n^2. The reduction runs on the
// calling thread, so that several matrices can be reduced side by side.
#pragma once

#include <cstddef>

#include "triangle.h"
#include "view.h"

namespace ssiqa {

// Rows of a block of the band.
inline constexpr std::size_t kBandWidth = kRowUnit;
static_assert(kTile % kBandWidth == 0);
inline constexpr std::size_t kBandBlock = kBandWidth * kBandWidth;

// Q = Q_1 Q_2 ... of kBandWidth * blocks rows, with Q_j = I - V_j T_j V_j' on the rows from kBandWidth * j on.
template <class T>
struct Reflectors {
  std::size_t blocks;
  T* vectors;  // V_1, V_2, ...: lower trapezoids with ones on the diagonal, column by column
  T* corners;  // T_1, T_2, ...: upper triangles, row by row

  std::size_t order() const { return blocks * kBandWidth; }
  std::size_t rows(std::size_t j) const { return (blocks - j) * kBandWidth; }
  T* vectors_of(std::size_t j) const { return vectors + (j - 1) * (2 * blocks - j) / 2 * kBandBlock; }
  T* corner_of(std::size_t j) const { return corners + (j - 1) * kBandBlock; }
};

inline std::size_t reflector_numbers(std::size_t blocks) { return blocks * (blocks - 1) / 2 * kBandBlock; }

// exp(-gamma d) of n rows from their squared distances (n, n), and rows of the identity up to `order`.
Triangle<double> kernel_of_distances(const MatrixView<double>& distances, double gamma, std::size_t order);

// Reduces a matrix of out.order() rows, which is overwritten: out.blocks blocks B[j, j], and as many B[j, j - 1], upper
// triangles, of which that of j = 0 is 0; row by row.
void reduce_to_band(Triangle<double>& a, double* diagonal, double* below, const Reflectors<double>& out);

// B + alpha I = L L' for `count` alphas, by what solving needs of L: for each alpha the inverses of the blocks L[j, j],
// and the products of these and L[j, j - 1], row by row.
struct BandFactors {
  std::size_t count;
  const double* inverse;
  const double* step;
};

// out[a][i] = q' (B + alpha I)^-1 q / q' q for each alpha and each of the first `rows` rows q of Q: the diagonal of the
// inverse. Q and L^-1 Q' are computed in T. Takes order^2 numbers of T, and as many for copies of the reflectors. Results
// do not depend on the number of threads.
template <class T>
void inverse_diagonal(const Reflectors<const double>& q, const BandFactors& factors, std::size_t rows, double* out,
                      std::size_t threads);

}  // namespace ssiqa
