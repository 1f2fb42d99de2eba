#include "tensor.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "instructions.h"
#include "products.h"
#include "sums.h"
#include "wide_products.h"

namespace ssiqa::gpu {
namespace {

// The larger tile reads less from the second-level cache, and takes shared memory that only data centres' devices have.
using Large = Tiling<64, 64, 2, 4, 3>;
using Small = Tiling<64, 32, 2, 4, 2>;
constexpr unsigned kTogether = 4;             // targets that share a look at the rows
constexpr std::size_t kBlocksEach = 8;        // tiles of x for each multiprocessor that are prepared at once
constexpr std::size_t kMostAcross = 32'768;  // blocks along y: CUDA allows 65,535
constexpr unsigned kThreads = 256;

// Of exp2, which is what the kernels call.
float for_exp2(float gamma) {
  return std::min(gamma * std::numbers::log2e_v<float>, std::numeric_limits<float>::max());
}

// -gamma |x - z|^2, at most 0; what is not a number stays that. The product is in units of the rows.
__device__ float power(float product, float gamma, float x_unit, float z_unit, float x_norm, float z_norm) {
  const float exponent = gamma * (2 * times(product * x_unit, z_unit) - (x_norm + z_norm));
  return exponent > 0 ? 0.0F : exponent;
}

template <class Shape>
constexpr std::size_t totals_bytes(unsigned targets) {
  return std::size_t{Shape::kAcross} * Shape::kRows * targets * sizeof(double);
}

// Tensor cores cut off what does not fit into a sum, so that products come out too small. By how much a row's product with
// itself tells, made as all others are: the row's unit is enlarged to make up for it, and its norm is that product, so that
// rows which are the same are at distance 0. Near rows' products lose a little more than that, and far ones' less.
template <class Shape, unsigned kParts>
__global__ void __launch_bounds__(Shape::kThreads, 1) calibrate(SplitRows x) {
  static_assert(Shape::kColumns % Shape::kRows == 0);
  constexpr unsigned kTilesInColumns = Shape::kColumns / Shape::kRows;
  const std::size_t z_tile = blockIdx.x / kTilesInColumns;
  const unsigned begin = blockIdx.x % kTilesInColumns * Shape::kRows;
  multiply_rows<Shape, kParts>(x, blockIdx.x, x, z_tile, z_tile + 1, [&](std::size_t, const Tile<Shape>& tile) {
    tile.each([&](unsigned down, unsigned across, float product) {
      if (begin + down != across) return;
      const std::size_t row = z_tile * Shape::kColumns + across;
      const float unit = product > 0 ? x.units[row] * std::sqrt(x.norms[row] / product) : x.units[row];
      x.units[row] = unit;
      x.norms[row] = product * unit * unit;
    });
  });
}

template <class Shape, unsigned kParts>
void queue_prepare(const MatrixView<float>& x, const float* centre, const SplitRows& to, cudaStream_t stream) {
  queue_split(x, centre, to, stream);
  const auto blocks = static_cast<unsigned>(to.padded_rows / Shape::kRows);
  launch(calibrate<Shape, kParts>, {blocks}, Shape::kThreads, Shape::shared_bytes(kParts), stream, to);
}

// parts: (gridDim.y, x.rows, columns), of which this writes kTargets columns from `target` on, of the tiles of x that the
// scratch memory has. coef: (targets, z.padded_rows), 0 in the padding. gamma: of exp2.
template <class Shape, unsigned kParts, unsigned kTargets>
__global__ void __launch_bounds__(Shape::kThreads, 1)
    matvec(SplitRows x, SplitRows z, const float* coef, float gamma, std::size_t target, std::size_t columns, double* parts) {
  auto* const totals = reinterpret_cast<double*>(dynamic_shared() + Shape::shared_bytes(kParts));
  constexpr unsigned kTotals = Shape::kAcross * Shape::kRows * kTargets;
  for (unsigned i = threadIdx.x; i < kTotals; i += Shape::kThreads) totals[i] = 0;  // the first barrier comes before their use

  const unsigned warp_across = threadIdx.x / kWarp % Shape::kAcross;
  const std::size_t tiles = z.padded_rows / Shape::kColumns;
  const std::size_t first = tiles * blockIdx.y / gridDim.y;
  const std::size_t last = tiles * (blockIdx.y + 1) / gridDim.y;
  const std::size_t x_begin = std::size_t{blockIdx.x} * Shape::kRows;
  const auto add_tile = [&](std::size_t z_tile, const Tile<Shape>& tile) {
    using Of = Tile<Shape>;
    const std::size_t begin = z_tile * Shape::kColumns;
#pragma unroll
    for (unsigned i = 0; i < Of::kDown; ++i) {
#pragma unroll
      for (unsigned half = 0; half < 2; ++half) {
        const unsigned row = Of::row(i, 2 * half);
        const float x_unit = x.units[x_begin + row];
        const float x_norm = x.norms[x_begin + row];
        float sums[kTargets] = {};
#pragma unroll
        for (unsigned j = 0; j < Of::kAcross; ++j) {
#pragma unroll
          for (unsigned e = 2 * half; e < 2 * half + 2; ++e) {
            const std::size_t column = begin + Of::column(j, e);
            const float near =
                exp2_fast(power(tile.sums[i][j][e], gamma, x_unit, z.units[column], x_norm, z.norms[column]));
#pragma unroll
            for (unsigned t = 0; t < kTargets; ++t) sums[t] += near * coef[t * z.padded_rows + column];
          }
        }
#pragma unroll
        for (unsigned t = 0; t < kTargets; ++t) {
          sums[t] += shuffle_xor(sums[t], 1);
          sums[t] += shuffle_xor(sums[t], 2);
          if (threadIdx.x % 4 == 0) {
            totals[(warp_across * Shape::kRows + row) * kTargets + t] += static_cast<double>(sums[t]);
          }
        }
      }
    }
  };
  if (!multiply_rows<Shape, kParts>(x, blockIdx.x, z, first, last, add_tile)) return;
  Shape::wait();
  parts += std::size_t{blockIdx.y} * x.rows * columns;
  for (unsigned i = threadIdx.x; i < Shape::kRows * kTargets; i += Shape::kMultiplying) {
    double total = 0;
    for (unsigned w = 0; w < Shape::kAcross; ++w) total += totals[w * Shape::kRows * kTargets + i];
    const std::size_t row = std::size_t{blockIdx.x} * Shape::kRows + i / kTargets;
    const std::size_t column = target + i % kTargets;
    if (row < x.rows && column < columns) parts[row * columns + column] = total;
  }
}

// out: (x.rows, z.rows). gamma: of exp2, or for distances 1.
template <class Shape, unsigned kParts>
__global__ void __launch_bounds__(Shape::kThreads, 1)
    matrix(SplitRows x, SplitRows z, Entries entries, float gamma, float* out) {
  const std::size_t tiles = z.padded_rows / Shape::kColumns;
  const std::size_t first = tiles * blockIdx.y / gridDim.y;
  const std::size_t last = tiles * (blockIdx.y + 1) / gridDim.y;
  multiply_rows<Shape, kParts>(x, blockIdx.x, z, first, last, [&](std::size_t z_tile, const Tile<Shape>& tile) {
    tile.each([&](unsigned down, unsigned across, float product) {
      const std::size_t row = std::size_t{blockIdx.x} * Shape::kRows + down;
      const std::size_t column = z_tile * Shape::kColumns + across;
      if (row >= x.rows || column >= z.rows) return;
      const float exponent = power(product, gamma, x.units[row], z.units[column], x.norms[row], z.norms[column]);
      out[row * z.rows + column] = entries == Entries::kernel ? exp2_fast(exponent) : -exponent;
    });
  });
}

// to: (kTogether, padded), 0 where there is nothing.
__global__ void __launch_bounds__(kThreads) gather(MatrixView<float> coef, std::size_t target, std::size_t padded, float* to) {
  const std::size_t row = std::size_t{blockIdx.x} * kThreads + threadIdx.x;
  if (row >= padded) return;
  for (unsigned t = 0; t < kTogether; ++t) {
    to[t * padded + row] = row < coef.rows && target + t < coef.cols ? coef(row, target + t) : 0.0F;
  }
}

template <class Shape, unsigned kParts>
void queue_matvec(const MatrixView<float>& x, const MatrixView<float>& z, const MatrixView<float>& coef, float gamma,
                  float* out, Scratch& memory, cudaStream_t stream) {
  const std::size_t most = kBlocksEach * multiprocessors() * Shape::kRows;
  const std::size_t at_once = x.rows < most ? x.rows : most;
  const std::size_t x_tiles = ceil_div<std::size_t>(at_once, Shape::kRows);
  auto* const centre = memory.take<float>(z.cols);
  const SplitRows of_z = take_rows(memory, z.rows, z.cols, Shape::kColumns);
  const SplitRows room = take_rows(memory, at_once, x.cols, Shape::kColumns);
  auto* const weights = memory.take<float>(kTogether * of_z.padded_rows);
  const std::size_t splits = splits_for(x_tiles, of_z.padded_rows / Shape::kColumns);
  auto* const parts = memory.take<double>(splits * at_once * coef.cols);
  if (memory.only_counts()) return;

  queue_centre(z, centre, stream);
  queue_prepare<Shape, kParts>(z, centre, of_z, stream);
  for (std::size_t row = 0; row < x.rows; row += at_once) {
    MatrixView<float> some = x;
    some.data = x.row(row);
    some.rows = x.rows - row < at_once ? x.rows - row : at_once;
    SplitRows of_x = room;
    of_x.rows = some.rows;
    of_x.padded_rows = round_up<std::size_t>(some.rows, Shape::kColumns);
    queue_prepare<Shape, kParts>(some, centre, of_x, stream);
    const dim3 grid{static_cast<unsigned>(ceil_div<std::size_t>(some.rows, Shape::kRows)), static_cast<unsigned>(splits)};
    for (std::size_t target = 0; target < coef.cols; target += kTogether) {
      const auto blocks = static_cast<unsigned>(ceil_div<std::size_t>(of_z.padded_rows, kThreads));
      launch(gather, {blocks}, kThreads, 0, stream, coef, target, of_z.padded_rows, weights);
      const auto queue = [&]<unsigned kTargets>() {
        launch(matvec<Shape, kParts, kTargets>, grid, Shape::kThreads,
               Shape::shared_bytes(kParts) + totals_bytes<Shape>(kTargets), stream, of_x, of_z, weights, gamma, target,
               coef.cols, parts);
      };
      if (coef.cols == 1) {
        queue.template operator()<1>();
      } else {
        queue.template operator()<kTogether>();
      }
    }
    queue_sum(parts, splits, some.rows * coef.cols, out + row * coef.cols, stream);
  }
}

template <class Shape, unsigned kParts>
void queue_matrix(const MatrixView<float>& x, const MatrixView<float>& z, Entries entries, float gamma, float* out,
                  Scratch& memory, cudaStream_t stream) {
  auto* const centre = memory.take<float>(z.cols);
  const SplitRows of_z = take_rows(memory, z.rows, z.cols, Shape::kColumns);
  const SplitRows of_x = take_rows(memory, x.rows, x.cols, Shape::kColumns);
  if (memory.only_counts()) return;
  queue_centre(z, centre, stream);
  queue_prepare<Shape, kParts>(z, centre, of_z, stream);
  queue_prepare<Shape, kParts>(x, centre, of_x, stream);
  const dim3 grid{static_cast<unsigned>(ceil_div<std::size_t>(x.rows, Shape::kRows)),
                  static_cast<unsigned>(std::min(of_z.padded_rows / Shape::kColumns, kMostAcross))};
  launch(matrix<Shape, kParts>, grid, Shape::kThreads, Shape::shared_bytes(kParts), stream, of_x, of_z, entries, gamma, out);
}

// Calls queue<Shape, kParts>() with the tiling that the device has instructions and memory for.
template <unsigned kParts, class Queue>
void with_shape(unsigned targets, const Queue& queue) {
  if (use_wgmma()) {
    queue.template operator()<Wide, kParts>();
  } else if (Large::shared_bytes(kParts) + totals_bytes<Large>(targets) <= most_shared()) {
    queue.template operator()<Large, kParts>();
  } else {
    queue.template operator()<Small, kParts>();
  }
}

template <class Queue>
void with_tiling(Products products, unsigned targets, const Queue& queue) {
  if (products == Products::high) {
    with_shape<2>(targets, queue);
  } else {
    with_shape<1>(targets, queue);
  }
}

}  // namespace

void queue_tensor_matrix(const MatrixView<float>& x, const MatrixView<float>& z, Entries entries, float gamma,
                         Products products, float* out, Scratch& memory, cudaStream_t stream) {
  const float scale = entries == Entries::kernel ? for_exp2(gamma) : 1.0F;
  with_tiling(products, 0, [&]<class Shape, unsigned kParts>() {
    queue_matrix<Shape, kParts>(x, z, entries, scale, out, memory, stream);
  });
}

void queue_tensor_matvec(const MatrixView<float>& x, const MatrixView<float>& z, const MatrixView<float>& coef,
                         float gamma, Products products, float* out, Scratch& memory, cudaStream_t stream) {
  with_tiling(products, kTogether, [&]<class Shape, unsigned kParts>() {
    queue_matvec<Shape, kParts>(x, z, coef, for_exp2(gamma), out, memory, stream);
  });
}

}  // namespace ssiqa::gpu
