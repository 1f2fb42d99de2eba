#include "cholesky.h"

#include <array>
#include <cmath>
#include <limits>

#include "buffer.h"
#include "threads.h"

namespace ssiqa {
namespace {

constexpr std::size_t kTileSize = kTile * kTile;

template <class T>
void subtract(T factor, const T* __restrict from, T* __restrict to, std::size_t count) {
  for (std::size_t r = 0; r < count; ++r) to[r] -= factor * from[r];
}

template <class T>
void scale(T factor, T* to, std::size_t count) {
  for (std::size_t r = 0; r < count; ++r) to[r] *= factor;
}

// Columns [begin, end) of row group `group`, mr rows, of a tile as part of a left panel, with the opposite sign: a product
// that is added to what is there then subtracts.
template <class T>
void negate_group(const T* tile, std::size_t group, std::size_t begin, std::size_t end, T* left) {
  const std::size_t mr = kernels<T>().mr;
  const std::size_t nr = kernels<T>().nr;
  const T* const from = tile + group * mr / nr * nr * kTile + group * mr % nr;
  T* const to = left + group * mr * kTile;
  for (std::size_t k = begin; k < end; ++k) {
    for (std::size_t r = 0; r < mr; ++r) to[k * mr + r] = -from[k * nr + r];
  }
}

template <class T>
void negate(const T* tile, std::size_t rows, T* left) {
  for (std::size_t group = 0; group < rows / kernels<T>().mr; ++group) negate_group(tile, group, 0, kTile, left);
}

// A factor's tile on the diagonal, as the substitution below reads it.
template <class T>
struct Diagonal {
  Buffer<T> left = Buffer<T>(kTileSize);  // left panels of -L, columns up to the end of each group of mr rows
  std::array<T, kTile> inverse{};         // of the diagonal entries
  std::size_t width = 0;                  // rows in use
};

// x = L^-1 x for a panel of nr columns. Substitution by groups of mr rows: multiplying with an inverse would lose as many
// digits as the tile's condition number has.
template <class T>
void substitute(const Diagonal<T>& diagonal, T* x) {
  const Kernels<T>& kernel = kernels<T>();
  for (std::size_t first = 0; first < diagonal.width; first += kernel.mr) {
    const T* const left = diagonal.left.data() + first * kTile;
    if (first > 0) kernel.dots(left, 1, x, 1, first, x + first * kernel.nr, kernel.nr, true);
    for (std::size_t row = first; row < first + kernel.mr; ++row) {
      for (std::size_t k = first; k < row; ++k) {
        subtract(-left[k * kernel.mr + row - first], x + k * kernel.nr, x + row * kernel.nr, kernel.nr);
      }
      scale(diagonal.inverse[row], x + row * kernel.nr, kernel.nr);
    }
  }
}

// Factorises tile `t` of the diagonal, column group by column group.
template <class T>
std::optional<BadPivot> factorise_tile(Triangle<T>& a, std::size_t t, double floor, Diagonal<T>& diagonal) {
  const Kernels<T>& kernel = kernels<T>();
  const std::size_t mr = kernel.mr;
  const std::size_t nr = kernel.nr;
  const std::size_t panels = a.panels(t);
  T* const tile = a.tile(t, t);
  diagonal.width = panels * nr;
  for (std::size_t first = 0; first < diagonal.width; first += mr) {
    T* const left = diagonal.left.data() + first * kTile;
    negate_group(tile, first / mr, 0, first, diagonal.left.data());
    for (std::size_t p = first / nr; p < panels && first > 0; ++p) {
      T* const panel = a.panel(t, t, p);
      kernel.dots(left, 1, panel, 1, first, panel + first * nr, nr, true);
    }
    for (std::size_t col = first; col < first + mr; ++col) {
      const std::size_t own = col / nr;
      for (std::size_t k = first; k < col; ++k) {
        const T factor = a.panel(t, t, own)[k * nr + col % nr];
        for (std::size_t p = own; p < panels; ++p) {
          T* const panel = a.panel(t, t, p);
          subtract(factor, panel + k * nr, panel + col * nr, nr);
        }
      }
      const T pivot = a.panel(t, t, own)[col * nr + col % nr];
      if (!(pivot > static_cast<T>(floor))) return BadPivot{t * kTile + col, static_cast<double>(pivot)};
      diagonal.inverse[col] = 1 / std::sqrt(pivot);
      for (std::size_t p = own; p < panels; ++p) scale(diagonal.inverse[col], a.panel(t, t, p) + col * nr, nr);
    }
    negate_group(tile, first / mr, first, first + mr, diagonal.left.data());
  }
  return std::nullopt;
}

template <class T>
void read_diagonal(const Triangle<T>& factor, std::size_t t, Diagonal<T>& diagonal) {
  const std::size_t mr = kernels<T>().mr;
  const std::size_t nr = factor.nr();
  diagonal.width = factor.panels(t) * nr;
  for (std::size_t first = 0; first < diagonal.width; first += mr) {
    negate_group(factor.tile(t, t), first / mr, 0, first + mr, diagonal.left.data());
  }
  for (std::size_t row = 0; row < diagonal.width; ++row) {
    diagonal.inverse[row] = 1 / factor.panel(t, t, row / nr)[row * nr + row % nr];
  }
}

// x_i -= L_ij x_j for tiles i > j.
template <class T>
void subtract_product(const Triangle<T>& factor, std::size_t i, std::size_t j, T* x, std::size_t count) {
  const std::size_t nr = factor.nr();
  std::array<T, kTile> sums;
  for (std::size_t p = 0; p < factor.panels(i); ++p) {
    for (std::size_t t = 0; t < count; ++t) {
      T* const vector = x + t * factor.padded();
      kernels<T>().panel_times(factor.panel(i, j, p), kTile, vector + j * kTile, sums.data());
      subtract(T{1}, sums.data(), vector + i * kTile + p * nr, nr);
    }
  }
}

// x_j -= L_ij' x_i.
template <class T>
void subtract_transposed(const Triangle<T>& factor, std::size_t i, std::size_t j, T* x, std::size_t count) {
  const std::size_t nr = factor.nr();
  std::array<T, kTile> negative;
  for (std::size_t p = 0; p < factor.panels(i); ++p) {
    for (std::size_t t = 0; t < count; ++t) {
      T* const vector = x + t * factor.padded();
      for (std::size_t r = 0; r < nr; ++r) negative[r] = -vector[i * kTile + p * nr + r];
      kernels<T>().transposed_panel_times(factor.panel(i, j, p), kTile, negative.data(), vector + j * kTile);
    }
  }
}

// x_t = L_tt^-1 x_t.
template <class T>
void solve_tile(const Triangle<T>& factor, std::size_t t, T* vector) {
  const std::size_t nr = factor.nr();
  std::array<T, kTile> sums;
  T* const x = vector + t * kTile;
  for (std::size_t p = 0; p < factor.panels(t); ++p) {
    T* const rows = x + p * nr;
    kernels<T>().panel_times(factor.panel(t, t, p), p * nr, x, sums.data());
    subtract(T{1}, sums.data(), rows, nr);
    const T* const square = factor.panel(t, t, p) + p * nr * nr;
    for (std::size_t k = 0; k < nr; ++k) {
      rows[k] /= square[k * nr + k];
      subtract(rows[k], square + k * nr + k + 1, rows + k + 1, nr - k - 1);
    }
  }
}

// x_t = L_tt'^-1 x_t.
template <class T>
void solve_transposed_tile(const Triangle<T>& factor, std::size_t t, T* vector) {
  const std::size_t nr = factor.nr();
  std::array<T, kTile> negative;
  T* const x = vector + t * kTile;
  for (std::size_t p = factor.panels(t); p-- > 0;) {
    T* const rows = x + p * nr;
    const T* const square = factor.panel(t, t, p) + p * nr * nr;
    for (std::size_t k = nr; k-- > 0;) {
      T rest = rows[k];
      for (std::size_t r = k + 1; r < nr; ++r) rest -= square[k * nr + r] * rows[r];
      rows[k] = rest / square[k * nr + k];
    }
    for (std::size_t r = 0; r < nr; ++r) negative[r] = -rows[r];
    kernels<T>().transposed_panel_times(factor.panel(t, t, p), p * nr, negative.data(), x);
  }
}

}  // namespace

// Column by column of tiles, each of which takes all of its updates at once: the tiles to the left are read once for each
// column and nothing but the column is written, and in the order of right panels no tile is ever packed again but for the
// row of tiles that all share.
template <class T>
std::optional<BadPivot> factorise(Triangle<T>& a, double floor, std::size_t threads) {
  const Kernels<T>& kernel = kernels<T>();
  const std::size_t nr = kernel.nr;
  const std::size_t tiles = a.tiles();
  const double product = 2.0 * kTile * kTile * static_cast<double>(nr);  // operations of a tile times a panel
  Buffer<T> left(tiles * kTileSize);
  Diagonal<T> diagonal;
  for (std::size_t j = 0; j < tiles; ++j) {
    const double depth = static_cast<double>(j);
    parallel_for(j, 8 * depth * static_cast<double>(kTileSize), threads, [&](std::size_t k) {
      negate(a.tile(j, k), a.panels(j) * nr, left.data() + k * kTileSize);
    });
    const auto update = [&](std::size_t i, std::size_t begin, std::size_t end, std::size_t rows) {
      for (std::size_t k = 0; k < j; ++k) {
        for (std::size_t p = begin; p < end; ++p) {
          kernel.dots(left.data() + k * kTileSize, rows / kernel.mr, a.panel(i, k, p), 1, kTile, a.panel(i, j, p), nr,
                      true);
        }
      }
    };
    const std::size_t own = a.panels(j);
    parallel_for(own, product * depth * static_cast<double>(own) / 2, threads, [&](std::size_t task) {
      const std::size_t p = own - 1 - task;  // the longest first
      update(j, p, p + 1, (p + 1) * nr);
    });
    if (const auto bad = factorise_tile(a, j, floor, diagonal)) return bad;

    // Half a tile, so that it stays in the second-level cache beside the left panels; finer where few are left.
    const std::size_t whole = kTile / nr;
    const std::size_t below = (tiles - 1 - j) * whole;
    std::size_t height = whole / 2;
    while (height > 1 && below / height < 8 * threads) height /= 2;
    const std::size_t strips = (whole + height - 1) / height;
    parallel_for((tiles - 1 - j) * strips, product * (depth + 1) * static_cast<double>(below), threads,
                 [&](std::size_t task) {
                   const std::size_t i = j + 1 + task / strips;
                   const std::size_t begin = std::min(task % strips * height, a.panels(i));
                   const std::size_t end = std::min(begin + height, a.panels(i));
                   update(i, begin, end, kTile);
                   for (std::size_t p = begin; p < end; ++p) substitute(diagonal, a.panel(i, j, p));
                 });
  }
  return std::nullopt;
}

template <class T>
BadPivot smallest_pivot(const Triangle<T>& factor) {
  BadPivot smallest{0, std::numeric_limits<double>::infinity()};
  for (std::size_t i = 0; i < factor.order(); ++i) {
    const double root = static_cast<double>(factor(i, i));
    if (root * root < smallest.value) smallest = {i, root * root};
  }
  return smallest;
}

// A few tiles at a time, so that threads are started rarely.
constexpr std::size_t kTilesAtOnce = 4;

template <class T>
void solve(const Triangle<T>& factor, T* x, std::size_t count, std::size_t threads) {
  const std::size_t tiles = factor.tiles();
  const double product = 2.0 * kTileSize * kTilesAtOnce * static_cast<double>(count);
  for (std::size_t begin = 0; begin < tiles; begin += kTilesAtOnce) {
    const std::size_t end = std::min(begin + kTilesAtOnce, tiles);
    for (std::size_t j = begin; j < end; ++j) {
      for (std::size_t t = 0; t < count; ++t) solve_tile(factor, j, x + t * factor.padded());
      for (std::size_t i = j + 1; i < end; ++i) subtract_product(factor, i, j, x, count);
    }
    parallel_for(tiles - end, product * static_cast<double>(tiles - end), threads, [&](std::size_t task) {
      for (std::size_t j = begin; j < end; ++j) subtract_product(factor, end + task, j, x, count);
    });
  }
  for (std::size_t end = tiles; end > 0;) {
    const std::size_t begin = (end - 1) / kTilesAtOnce * kTilesAtOnce;
    for (std::size_t i = end; i-- > begin;) {
      for (std::size_t t = 0; t < count; ++t) solve_transposed_tile(factor, i, x + t * factor.padded());
      for (std::size_t j = begin; j < i; ++j) subtract_transposed(factor, i, j, x, count);
    }
    parallel_for(begin, product * static_cast<double>(begin), threads, [&](std::size_t j) {
      for (std::size_t i = begin; i < end; ++i) subtract_transposed(factor, i, j, x, count);
    });
    end = begin;
  }
}

template <class T>
void solve_lower(const Triangle<T>& factor, T* x, std::size_t count) {
  const Kernels<T>& kernel = kernels<T>();
  const std::size_t nr = kernel.nr;
  Buffer<T> left(kTileSize);
  Diagonal<T> diagonal;
  for (std::size_t i = 0; i < factor.tiles(); ++i) {
    const std::size_t rows = factor.panels(i) * nr;
    const auto lines = [&](std::size_t tile, std::size_t p) { return x + (p * factor.padded() + tile * kTile) * nr; };
    for (std::size_t k = 0; k < i; ++k) {
      negate(factor.tile(i, k), rows, left.data());
      for (std::size_t p = 0; p < count; ++p) {
        kernel.dots(left.data(), rows / kernel.mr, lines(k, p), 1, kTile, lines(i, p), nr, true);
      }
    }
    read_diagonal(factor, i, diagonal);
    for (std::size_t p = 0; p < count; ++p) substitute(diagonal, lines(i, p));
  }
}

#define SSIQA_INSTANTIATE(T)                                                        \
  template std::optional<BadPivot> factorise(Triangle<T>&, double, std::size_t);    \
  template BadPivot smallest_pivot(const Triangle<T>&);                              \
  template void solve(const Triangle<T>&, T*, std::size_t, std::size_t);            \
  template void solve_lower(const Triangle<T>&, T*, std::size_t);
SSIQA_INSTANTIATE(float)
SSIQA_INSTANTIATE(double)

}  // namespace ssiqa
