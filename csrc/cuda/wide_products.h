// Products of rows on a Hopper GPU: of three groups of four warps, two multiply and have a tile's halves, and a thread of the
// third brings what comes next.
#pragma once

#include <concepts>

#include "hopper.h"
#include "products.h"

namespace ssiqa::gpu {

// As a Tiling, whose members it has.
struct Wide {
  static constexpr unsigned kWarpRows = 16;
  static constexpr unsigned kWarpColumns = 256;
  static constexpr unsigned kAcross = 1;
  static constexpr unsigned kGroupRows = 64;
  static constexpr unsigned kRows = 2 * kGroupRows;
  static constexpr unsigned kColumns = kWarpColumns;
  static constexpr unsigned kMultiplying = 256;
  static constexpr unsigned kThreads = kMultiplying + 128;
  static constexpr unsigned kPartBytes = (kRows + kColumns) * kRowBytes;
  static __device__ void wait() { wait_for_some<kMultiplying>(); }
  static constexpr unsigned stages(unsigned parts) { return 8 / parts; }
  static constexpr std::size_t shared_bytes(unsigned parts) {
    return stages(parts) * (std::size_t{parts} * kPartBytes + 2 * sizeof(std::uint64_t));
  }
};

// As multiply_rows of a Tiling.
template <class Shape, unsigned kParts, class Finish>
  requires std::same_as<Shape, Wide>
__device__ bool multiply_rows(const SplitRows& x, std::size_t x_tile, const SplitRows& z, std::size_t first,
                              std::size_t last, const Finish& finish) {
#if SSIQA_WGMMA_CODE
  constexpr unsigned kStages = Wide::stages(kParts);
  constexpr unsigned kStageBytes = kParts * Wide::kPartBytes;
  char* const shared = dynamic_shared();
  auto* const full = reinterpret_cast<std::uint64_t*>(shared + kStages * kStageBytes);
  std::uint64_t* const empty = full + kStages;
  if (threadIdx.x == 0) {
    for (unsigned stage = 0; stage < kStages; ++stage) {
      barrier_init(full + stage, 1);
      barrier_init(empty + stage, Wide::kMultiplying / kWarp);
    }
    barriers_ready();
  }
  __syncthreads();
  const std::size_t steps = x.depth / kDepth;

  std::size_t step = 0;
  if (threadIdx.x >= Wide::kMultiplying) {
    give_registers<24>();
    if (threadIdx.x > Wide::kMultiplying) return false;
    for (std::size_t z_tile = first; z_tile < last; ++z_tile) {
      for (std::size_t i = 0; i < steps; ++i, ++step) {
        const std::size_t stage = step % kStages;
        const std::size_t round = step / kStages;
        if (round > 0) barrier_wait(empty + stage, (round - 1) % 2);
        barrier_announce(full + stage, kStageBytes);
        for (unsigned part = 0; part < kParts; ++part) {
          char* const to = shared + stage * kStageBytes + part * Wide::kPartBytes;
          const auto bring = [&](const SplitRows& rows, std::size_t first_row, unsigned count, char* there) {
            copy_bulk(there, rows.parts[part] + (i * rows.padded_rows + first_row) * kDepth, count * kRowBytes, full + stage);
          };
          bring(x, x_tile * Wide::kRows, Wide::kRows, to);
          bring(z, z_tile * Wide::kColumns, Wide::kColumns, to + Wide::kRows * kRowBytes);
        }
      }
    }
    return false;
  }

  take_registers<240>();
  const char* const rows = shared + threadIdx.x / (Wide::kMultiplying / 2) * Wide::kGroupRows * kRowBytes;
  const char* const columns = shared + Wide::kRows * kRowBytes;
  const auto release = [&](std::size_t done) {
    if (threadIdx.x % kWarp == 0) barrier_arrive(empty + done % kStages);
  };
  Tile<Wide> tile;
  WideSums& sums = tile.sums[0];
  tile.clear();
  for (std::size_t z_tile = first; z_tile < last; ++z_tile) {
    for (std::size_t i = 0; i < steps; ++i, ++step) {
      const std::size_t stage = step % kStages;
      barrier_wait(full + stage, step / kStages % 2);
      wide_begin(sums);
#pragma unroll
      for (unsigned half = 0; half < kDepth / 16; ++half) {
        std::uint64_t a[kParts];
        std::uint64_t b[kParts];
#pragma unroll
        for (unsigned part = 0; part < kParts; ++part) {
          const std::size_t offset = stage * kStageBytes + part * Wide::kPartBytes + half * 16 * sizeof(std::uint16_t);
          a[part] = rows_of_64_bytes(rows + offset);
          b[part] = rows_of_64_bytes(columns + offset);
        }
        const bool add = half > 0 || i > 0;
        if constexpr (kParts == 2) {
          wide_multiply(sums, a[0], b[1], add);
          wide_multiply(sums, a[1], b[0], true);
          wide_multiply(sums, a[0], b[0], true);
        } else {
          wide_multiply(sums, a[0], b[0], add);
        }
      }
      wide_commit();
      wide_wait<1>(sums);  // this step goes on while the next one begins
      if (i > 0) release(step - 1);
    }
    wide_wait<0>(sums);
    release(step - 1);
    finish(z_tile, tile);
  }
  return true;
#else
  __trap();
  return false;
#endif
}

}  // namespace ssiqa::gpu
