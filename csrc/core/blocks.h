// The dot products between the rows of two matrices, one cache-sized block at a time; the whole is never stored.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include "packing.h"

namespace ssiqa {

// Rows [row, row + rows) of x against rows [col, col + cols) of z.
template <class T>
struct Block {
  std::size_t row;
  std::size_t rows;
  std::size_t col;
  std::size_t cols;
  T* dots;  // row by row, kBlockCols<T> apart; the visitor may overwrite it
  const T* left_norms;
  const T* right_norms;
};

// What one thread needs beside the packed copy of z: made once, because fresh pages of memory cost as much as a small block.
template <class T>
struct Scratch {
  PackedRows<T> left;
  Buffer<T> dots;
};

enum class Part { all, upper };  // upper: blocks that hold no entry with col >= row are left out

// Rows of a block. Many mean that the packed z is read less often from the last-level cache; their own panels follow each
// other, so that a processor fetches them ahead where its second-level cache does not hold them all. But of the upper part
// more is computed in vain.
inline constexpr std::size_t kFewRows = 96;
inline constexpr std::size_t kManyRows = 384;
inline constexpr std::size_t kLeftBytes = std::size_t{1} << 20U;

// Bytes of the packed copy of z that is shared by all threads: the bound on the workspace. Larger ones lose more time to
// fresh pages of memory than they save in packing x again for each chunk of z.
inline constexpr std::size_t kPackedBytes = std::size_t{8} << 20U;

// Calls visit(Block<T>&) for each block, of rows taken around `centre`, a point near them. The blocks of one row come in
// order of columns and never at the same time, and no rounding depends on where the blocks begin, so that results are the
// same for any number of threads.
template <class T, class S, class Visit>
void for_each_block(const MatrixView<S>& x, const MatrixView<S>& z, const std::vector<T>& centre, Part part,
                    std::size_t threads, const Visit& visit) {
  const Products<T>& kernel = products<T>();
  const FeatureBlocks features(x.cols, kernel.feature_step);
  const auto round_up = [](std::size_t value, std::size_t unit) { return (value + unit - 1) / unit * unit; };

  const std::size_t row_bytes = kernel.feature_bytes * std::max<std::size_t>(features.padded_begin(features.count()), 1);
  const std::size_t fitting = round_up(kPackedBytes / row_bytes, kBlockCols<T>);
  const std::size_t chunk = std::clamp(round_up(z.rows, kBlockCols<T>), kBlockCols<T>, std::max(fitting, kBlockCols<T>));
  const std::size_t most = part == Part::upper ? kFewRows : std::clamp(kLeftBytes / row_bytes, kFewRows, kManyRows);
  // Few rows are cut finer, so that all threads have some.
  const std::size_t height = round_up(std::min(x.rows / (8 * threads) + 1, most), kernel.mr);
  PackedRows<T> right(std::min(chunk, z.rows), x.cols, Side::right);

  std::vector<std::optional<Scratch<T>>> scratch(threads);
  for (std::size_t start = 0; start < z.rows; start += chunk) {
    const std::size_t stop = std::min(start + chunk, z.rows);
    right.fill(z, start, stop - start, centre, threads);
    const std::size_t last_row = part == Part::upper ? std::min(stop, x.rows) : x.rows;
    const double work = 2.0 * static_cast<double>(last_row) * static_cast<double>(stop - start) *
                        static_cast<double>(x.cols + 16);

    parallel_for_workers((last_row + height - 1) / height, work, threads, [&](std::size_t task, std::size_t worker) {
      const std::size_t row = task * height;
      const std::size_t rows = std::min(height, x.rows - row);
      std::optional<Scratch<T>>& own = scratch[worker];
      if (!own) own.emplace(PackedRows<T>(height, x.cols, Side::left), Buffer<T>(height * kBlockCols<T>));
      PackedRows<T>& left = own->left;
      T* const dots = own->dots.data();
      left.fill(x, row, rows, centre, 1);
      const std::size_t skipped = part == Part::upper && row > start ? (row - start) / kBlockCols<T> * kBlockCols<T> : 0;
      for (std::size_t col = start + skipped; col < stop; col += kBlockCols<T>) {
        const std::size_t panel = (col - start) / kernel.nr;
        const std::size_t panels = std::min(kBlockCols<T> / kernel.nr, right.panels() - panel);
        for (std::size_t b = 0; b < features.count(); ++b) {
          kernel.dots(left.panel(b, 0), left.panels(), right.panel(b, panel), panels, features.size(b), dots,
                      kBlockCols<T>, b > 0);
        }
        Block<T> block{row, rows, col, std::min(kBlockCols<T>, stop - col), dots, left.norms(),
                       right.norms() + (col - start)};
        visit(block);
      }
    });
  }
}

}  // namespace ssiqa
