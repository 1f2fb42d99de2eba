// Rows as tensor cores take them: centred, scaled to the range of half precision, each number as the sum of two such, and
// padded to whole tiles.
#pragma once

#include "gpu.h"
#include "view.h"

namespace ssiqa::gpu {

// Features of a step. Those beyond the last are 0, as are whole rows beyond the last.
inline constexpr std::size_t kDepth = 32;
inline constexpr unsigned kRowBytes = kDepth * sizeof(std::uint16_t);
inline constexpr unsigned kPieces = kRowBytes / 16;  // what is copied, and read by a matrix instruction, at once

struct SplitRows {
  std::uint16_t* parts[2];  // high and low, each depth by padded_rows, as `place` says
  float* units;             // padded_rows: what the parts of a row are in units of, powers of 2 as they are split
  float* norms;             // padded_rows: |row|^2, as they are split in squares of the units
  std::size_t rows;
  std::size_t padded_rows;
  std::size_t depth;

  // Steps follow each other, and in a step rows: what a tile takes of a step is in one place. The pieces of a row are
  // rotated from one pair of rows to the next, so that eight rows that are read at once lie in different banks.
  __device__ std::size_t place(std::size_t row, std::size_t feature) const {
    const std::size_t piece = feature % kDepth / 8 ^ (row / 2 % kPieces);
    return (feature / kDepth * padded_rows + row) * kDepth + 8 * piece + feature % 8;
  }
};

// Room for so many rows, padded to a multiple of `tile`.
inline SplitRows take_rows(Scratch& memory, std::size_t rows, std::size_t features, std::size_t tile) {
  SplitRows split{};
  split.rows = rows;
  split.padded_rows = round_up(rows, tile);
  split.depth = round_up(features, kDepth);
  for (std::uint16_t*& part : split.parts) part = memory.take<std::uint16_t>(split.padded_rows * split.depth);
  split.units = memory.take<float>(split.padded_rows);
  split.norms = memory.take<float>(split.padded_rows);
  return split;
}

// centre: z.cols numbers, about the mean of z: that of at most 1,024 of its rows.
void queue_centre(const MatrixView<float>& z, float* centre, cudaStream_t stream);

void queue_split(const MatrixView<float>& x, const float* centre, const SplitRows& to, cudaStream_t stream);

}  // namespace ssiqa::gpu
