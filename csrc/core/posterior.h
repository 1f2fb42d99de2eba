// What the exact factor of K + alpha I is kept for: more right-hand sides, and how certain a prediction is.
#pragma once

#include <cstddef>
#include <vector>

#include "packing.h"
#include "triangle.h"
#include "view.h"

namespace ssiqa {

class Posterior {
 public:
  // Workspace: 4 bytes for each of x.rows^2, and x in double. Throws as krr_fit does. T is float or double, here and below.
  template <class T>
  Posterior(const MatrixView<T>& x, double gamma, double alpha, std::size_t threads);

  std::size_t rows() const { return factor_.order(); }
  std::size_t features() const { return centre_.size(); }

  // An estimate from below, rarely by more than a factor of three, of the condition number of K + alpha I in the 1-norm.
  double condition(std::size_t threads) const;

  // out = (K + alpha I)^-1 y, y.rows by y.cols.
  template <class T>
  void solve(const MatrixView<T>& y, T* out, std::size_t threads) const;

  // out[i] = 1 - k(z_i)' (K + alpha I)^-1 k(z_i), from 0 to 1, in at most kWorkspace bytes unless one panel needs more.
  template <class T>
  void variance(const MatrixView<T>& z, T* out, std::size_t threads) const;

  static constexpr std::size_t kWorkspace = std::size_t{64} << 20U;

 private:
  std::vector<double> centre_;
  FeatureBlocks blocks_;
  double gamma_;
  PackedRows<double> rows_;  // as left panels
  double norm_;
  Triangle<double> factor_;
};

}  // namespace ssiqa
