// The inner loops that exist once per instruction set, as a table of functions chosen at start-up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "cpu.h"

namespace ssiqa {

// Rows are packed in panels of `mr` (left) or `nr` (right) rows and of at most kFeatureBlock features, padded with zero
// rows. A right panel of one block then fits a 48 KB first-level cache.
inline constexpr std::size_t kFeatureBlock = 192;

// A multiple of every `mr` and `nr`.
inline constexpr std::size_t kRowUnit = 48;

// Largest number of bytes in a row of a block of the kernel matrix; a multiple of every `nr` in bytes.
inline constexpr std::size_t kBlockRowBytes = 768;

template <class T>
inline constexpr std::size_t kBlockCols = kBlockRowBytes / sizeof(T);

// An integer of the size of T. Signed, so that -1 is below the bits of every number without its sign.
template <class T>
using Bits = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;

// How products of rows are computed. In the format of `Kernels` a panel holds its rows side by side, feature by feature;
// other formats are known to these three functions alone.
template <class T>
struct Products {
  std::size_t mr;
  std::size_t nr;
  std::size_t feature_step;   // panels hold a multiple of this number of features, the last of them 0
  std::size_t feature_bytes;  // in a panel, for each row

  // One panel of mr or nr rows over one feature block, from `count` rows of `features` numbers one after another, and
  // norms[i] = or += <row i, row i>.
  void (*pack_left)(const T* rows, std::size_t count, std::size_t features, void* panel, T* norms,
                    bool accumulate);
  void (*pack_right)(const T* rows, std::size_t count, std::size_t features, void* panel, T* norms,
                     bool accumulate);

  // dots[i][j] = or += <left row i, right row j> over one feature block, for whole panels. Each sum runs in the order of
  // that of the norms, so that two identical rows are found to be at distance exactly 0.
  void (*dots)(const void* left, std::size_t left_panels, const void* right, std::size_t right_panels,
               std::size_t features, T* dots, std::size_t stride, bool accumulate);
};

// Rows whose features lie in groups of numbers one after another: feature k of row r is number
// r * row_stride + k / group * group_stride + k % group.
template <class T>
struct Grouped {
  const T* data;
  std::size_t row_stride;
  std::size_t groups;
  std::size_t group;
  std::size_t group_stride;
};

template <class T>
struct Kernels : Products<T> {
  // out[r][j] = or += sum over the features of left row r and right row j: as `dots`, for a multiple of mr left rows where
  // they lie, so that a right panel can be read along its lines too, and right panels `right_stride` numbers apart.
  void (*grouped_dots)(const Grouped<T>& left, std::size_t left_rows, const T* right, std::size_t right_stride,
                       std::size_t right_panels, T* out, std::size_t stride, bool accumulate);

  // out[j] = max(norm + norms[j] - 2 dots[j], 0). Reads whole vectors, so `count` rounded up to nr; so does the next.
  void (*distances)(const T* dots, T norm, const T* norms, std::size_t count, T* out);

  // out[j] = exp(-gamma * that distance), within 2 units in the last place of the exponential of the rounded argument;
  // 0 where the exponential is below the smallest normal number.
  void (*rbf)(const T* dots, T norm, const T* norms, T gamma, std::size_t count, T* out);

  // Sum of a[j] * b[j] for j < count; count is a multiple of nr.
  double (*dot)(const T* a, const T* b, std::size_t count);

  // A right panel as the matrix of nr rows and `features` columns that it is, an even number of them, times a vector:
  // out[row] = sum of panel[row][k] x[k], and out[k] += sum of panel[row][k] x[row].
  void (*panel_times)(const T* panel, std::size_t features, const T* x, T* out);
  void (*transposed_panel_times)(const T* panel, std::size_t features, const T* x, T* out);

  // Writes the places i < count where the bits of |a[i] - b[i]| are not above `bound`, ascending, into room for `count`
  // of them, and returns how many there are. Adds the number of NaN differences to *nans; the bits of a NaN are above
  // those of infinity.
  std::size_t (*within)(const T* a, const T* b, std::size_t count, Bits<T> bound, std::uint16_t* places,
                        std::size_t* nans);
};

// The table for the active instruction set.
template <class T>
const Kernels<T>& kernels();

// The fastest products for blocks of the kernel matrix: those of kernels<T>(), except that the tile unit computes the ones
// of float, to about 16 bits for each product of two features.
template <class T>
const Products<T>& products();

// The tables themselves, one per object file; a table must only be used where `available_isas` lists it.
#define SSIQA_DECLARE_KERNELS(isa)        \
  namespace isa {                         \
  extern const Kernels<float> kFloat;     \
  extern const Kernels<double> kDouble;   \
  }
SSIQA_DECLARE_KERNELS(baseline)
SSIQA_DECLARE_KERNELS(avx2)
SSIQA_DECLARE_KERNELS(avx512)
#undef SSIQA_DECLARE_KERNELS
namespace amx {
extern const Products<float> kFloat;
}

}  // namespace ssiqa
