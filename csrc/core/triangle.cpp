#include "triangle.h"

#include <algorithm>
#include <array>
#include <vector>

#include "buffer.h"
#include "threads.h"

namespace ssiqa {

template <class T>
void multiply(const Triangle<T>& a, const T* x, T* y, std::size_t count, std::size_t threads) {
  const Kernels<T>& kernel = kernels<T>();
  const std::size_t nr = a.nr();
  const std::size_t tiles = a.tiles();
  const std::size_t padded = a.padded();
  std::fill_n(y, padded * count, T{0});
  // What tile (i, j) adds to the rows of tile j, kept apart so that the order of the sums is ours and not the threads'.
  const std::size_t stretch = kTile * count;
  Buffer<T> mirrored(tiles * (tiles + 1) / 2 * stretch);
  const auto mirrored_of = [&](std::size_t i, std::size_t j) { return mirrored.data() + (i * (i + 1) / 2 + j) * stretch; };
  const double work = 2.0 * static_cast<double>(padded) * static_cast<double>(padded) * static_cast<double>(count);

  parallel_for(tiles, work, threads, [&](std::size_t task) {
    const std::size_t i = tiles - 1 - task;  // the longest first
    std::array<T, kTile> sums;
    for (std::size_t j = 0; j <= i; ++j) {
      T* const sums_of_columns = mirrored_of(i, j);
      std::fill_n(sums_of_columns, stretch, T{0});
      for (std::size_t p = 0; p < a.panels(i); ++p) {
        // On the diagonal the square at the end of a panel is whole: it holds both of its halves.
        const std::size_t across = i == j ? (p + 1) * nr : kTile;
        const std::size_t down = i == j ? p * nr : kTile;
        for (std::size_t t = 0; t < count; ++t) {
          const std::size_t row = t * padded + i * kTile + p * nr;
          kernel.panel_times(a.panel(i, j, p), across, x + t * padded + j * kTile, sums.data());
          for (std::size_t r = 0; r < nr; ++r) y[row + r] += sums[r];
          kernel.transposed_panel_times(a.panel(i, j, p), down, x + row, sums_of_columns + t * kTile);
        }
      }
    }
  });
  parallel_for(tiles, work / kTile, threads, [&](std::size_t j) {
    for (std::size_t i = j; i < tiles; ++i) {
      const T* const from = mirrored_of(i, j);
      for (std::size_t t = 0; t < count; ++t) {
        for (std::size_t k = 0; k < kTile; ++k) y[t * padded + j * kTile + k] += from[t * kTile + k];
      }
    }
  });
}

double one_norm(const Triangle<double>& a, std::size_t threads) {
  std::vector<double> ones(a.padded(), 0.0);
  std::vector<double> sums(a.padded());
  std::fill_n(ones.begin(), a.order(), 1.0);
  multiply(a, ones.data(), sums.data(), 1, threads);
  return *std::ranges::max_element(sums);
}

template <class To>
Triangle<To> converted(const Triangle<double>& from, std::size_t threads) {
  Triangle<To> to(from.order());
  const std::size_t width = from.nr();
  const std::size_t parts = to.nr() / width;  // a panel of To is so many panels of double side by side
  const double work = static_cast<double>(from.padded()) * static_cast<double>(from.padded());
  parallel_for(to.tiles(), work, threads, [&](std::size_t task) {
    const std::size_t i = to.tiles() - 1 - task;  // the longest first
    for (std::size_t j = 0; j <= i; ++j) {
      for (std::size_t p = 0; p < from.panels(i); ++p) {
        const double* const source = from.panel(i, j, p);
        To* const target = to.panel(i, j, p / parts) + p % parts * width;
        for (std::size_t k = 0; k < (i == j ? (p + 1) * width : kTile); ++k) {
          for (std::size_t r = 0; r < width; ++r) target[k * to.nr() + r] = static_cast<To>(source[k * width + r]);
        }
      }
    }
  });
  return to;
}

template Triangle<float> converted(const Triangle<double>&, std::size_t);
template Triangle<double> converted(const Triangle<double>&, std::size_t);
template void multiply(const Triangle<float>&, const float*, float*, std::size_t, std::size_t);
template void multiply(const Triangle<double>&, const double*, double*, std::size_t, std::size_t);

}  // namespace ssiqa
