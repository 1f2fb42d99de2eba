// Products of rows on tensor cores, tile by tile; what becomes of a tile is its caller's business.
#pragma once

#include "rows.h"

namespace ssiqa::gpu {

// How a block's tile is made: each warp has its part of it, and the next few steps of `kDepth` features are on their way.
template <unsigned kWarpRowsValue, unsigned kWarpColumnsValue, unsigned kDown, unsigned kAcrossValue, unsigned kStagesValue>
struct Tiling {
  static constexpr unsigned kWarpRows = kWarpRowsValue;
  static constexpr unsigned kWarpColumns = kWarpColumnsValue;
  static constexpr unsigned kAcross = kAcrossValue;
  static constexpr unsigned kStages = kStagesValue;
  static constexpr unsigned kRows = kWarpRows * kDown;
  static constexpr unsigned kColumns = kWarpColumns * kAcross;
  static constexpr unsigned kMultiplying = kWarp * kDown * kAcross;
  static constexpr unsigned kThreads = kMultiplying;
  static constexpr std::size_t stage_bytes(unsigned parts) { return std::size_t{parts} * (kRows + kColumns) * kRowBytes; }
  static constexpr std::size_t shared_bytes(unsigned parts) { return kStages * stage_bytes(parts); }
  static __device__ void wait() { __syncthreads(); }
};

// A warp's part of a tile of products, spread over its lanes as the tensor cores leave it.
template <class Shape>
struct Tile {
  static constexpr unsigned kDown = Shape::kWarpRows / 16;
  static constexpr unsigned kAcross = Shape::kWarpColumns / 8;
  float sums[kDown][kAcross][4];

  __device__ void clear() {
    for (auto& row : sums) {
      for (auto& part : row) {
        for (float& sum : part) sum = 0;
      }
    }
  }

  // Calls visit(row, column, sum) for each, with its place in the block's tile.
  template <class Visit>
  __device__ void each(const Visit& visit) const {
#pragma unroll
    for (unsigned i = 0; i < kDown; ++i) {
#pragma unroll
      for (unsigned j = 0; j < kAcross; ++j) {
#pragma unroll
        for (unsigned e = 0; e < 4; ++e) visit(row(i, e), column(j, e), sums[i][j][e]);
      }
    }
  }

  // Where sums[i][j][e] is in the block's tile.
  static __device__ unsigned row(unsigned i, unsigned e) {
    return threadIdx.x / kWarp / Shape::kAcross * Shape::kWarpRows + 16 * i + 8 * (e / 2) + threadIdx.x % kWarp / 4;
  }
  static __device__ unsigned column(unsigned j, unsigned e) {
    return threadIdx.x / kWarp % Shape::kAcross * Shape::kWarpColumns + 8 * j + 2 * (threadIdx.x % 4) + e % 2;
  }
};

// Multiplies the block's tile of x with tiles [first, last) of z, and calls finish(tile, products) for each, in order, in the
// first Shape::kMultiplying threads. Others, if there are any, may do nothing afterwards but leave, and false says so.
// kParts: 2 for products like those of float, 1 for those of half precision. Shared memory: Shape::shared_bytes(kParts).
template <class Shape, unsigned kParts, class Finish>
__device__ bool multiply_rows(const SplitRows& x, std::size_t x_tile, const SplitRows& z, std::size_t first,
                              std::size_t last, const Finish& finish) {
  constexpr unsigned kBoth = Shape::kRows + Shape::kColumns;
  constexpr unsigned kCopies = kBoth * kPieces / Shape::kThreads;  // a thread's, of each part
  constexpr unsigned kCopiesOfX = Shape::kRows * kPieces / Shape::kThreads;
  static_assert(kCopies * Shape::kThreads == kBoth * kPieces && kCopiesOfX * Shape::kThreads == Shape::kRows * kPieces);
  char* const shared = dynamic_shared();
  const std::size_t steps = x.depth / kDepth;
  const std::size_t all = (last - first) * steps;
  const unsigned lane = threadIdx.x % kWarp;

  const auto place = [&](std::size_t stage, unsigned part, unsigned row, unsigned piece) {
    return shared + stage * Shape::stage_bytes(kParts) + (part * kBoth + row) * kRowBytes + 16 * piece;
  };
  const auto rotated = [](unsigned row, unsigned piece) { return piece ^ (row / 2 % kPieces); };
  const auto load = [&](std::size_t step) {
    if (step < all) {
      const std::size_t z_tile = first + step / steps;
      const std::size_t x_row = step % steps * x.padded_rows + x_tile * Shape::kRows;
      const std::size_t z_row = step % steps * z.padded_rows + z_tile * Shape::kColumns;
      const unsigned piece = threadIdx.x % kPieces;
#pragma unroll
      for (unsigned part = 0; part < kParts; ++part) {
#pragma unroll
        for (unsigned n = 0; n < kCopies; ++n) {
          const unsigned row = threadIdx.x / kPieces + n * (Shape::kThreads / kPieces);
          const std::uint16_t* const from = n < kCopiesOfX ? x.parts[part] + (x_row + row) * kDepth
                                                           : z.parts[part] + (z_row + row - Shape::kRows) * kDepth;
          copy_async(place(step % Shape::kStages, part, row, piece), from + 8 * piece);
        }
      }
    }
    copy_commit();  // empty ones, too, so that counting groups is counting steps
  };

  const unsigned down = threadIdx.x / kWarp / Shape::kAcross * Shape::kWarpRows;
  const unsigned across = Shape::kRows + threadIdx.x / kWarp % Shape::kAcross * Shape::kWarpColumns;
  Tile<Shape> tile;
  tile.clear();
  for (unsigned step = 0; step + 1 < Shape::kStages; ++step) load(step);
  for (std::size_t step = 0; step < all; ++step) {
    copy_wait<static_cast<int>(Shape::kStages) - 2>();
    __syncthreads();  // all have what they copied, and all are done with the stage that comes next
    load(step + Shape::kStages - 1);
    const std::size_t stage = step % Shape::kStages;
#pragma unroll
    for (unsigned half = 0; half < kDepth / 16; ++half) {
      std::uint32_t a[kParts][Tile<Shape>::kDown][4];
#pragma unroll
      for (unsigned part = 0; part < kParts; ++part) {
#pragma unroll
        for (unsigned i = 0; i < Tile<Shape>::kDown; ++i) {
          const unsigned row = down + 16 * i + lane % 16;
          load_matrices(a[part][i], place(stage, part, row, rotated(row, 2 * half + lane / 16)));
        }
      }
#pragma unroll
      for (unsigned j = 0; j < Tile<Shape>::kAcross; j += 2) {
        std::uint32_t b[kParts][4];
#pragma unroll
        for (unsigned part = 0; part < kParts; ++part) {
          const unsigned row = across + 8 * j + lane / 16 * 8 + lane % 8;
          load_matrices(b[part], place(stage, part, row, rotated(row, 2 * half + lane / 8 % 2)));
        }
#pragma unroll
        for (unsigned i = 0; i < Tile<Shape>::kDown; ++i) {
#pragma unroll
          for (unsigned n = 0; n < 2; ++n) {
            auto& sums = tile.sums[i][j + n];
            if constexpr (kParts == 2) {
              multiply(sums, a[0][i], b[1][2 * n], b[1][2 * n + 1]);
              multiply(sums, a[1][i], b[0][2 * n], b[0][2 * n + 1]);
            }
            multiply(sums, a[0][i], b[0][2 * n], b[0][2 * n + 1]);
          }
        }
      }
    }
    if ((step + 1) % steps == 0) {
      finish(first + step / steps, tile);
      tile.clear();
    }
  }
  return true;
}

}  // namespace ssiqa::gpu
