// The inner loops that exist once per instruction set, as a table of functions chosen at start-up.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu.h"

namespace ssiqa {

// Rows are packed in panels: `mr` (left) or `nr` (right) rows side by side, feature by feature, in blocks of at most
// kFeatureBlock features, padded with zero rows. A right panel of one block then fits a 48 KB first-level cache.
inline constexpr std::size_t kFeatureBlock = 192;

// Largest number of bytes in a row of a block of the kernel matrix; a multiple of every `nr` in bytes.
inline constexpr std::size_t kBlockRowBytes = 768;

template <class T>
inline constexpr std::size_t kBlockCols = kBlockRowBytes / sizeof(T);

template <class T>
struct BitsOf;
template <>
struct BitsOf<float> {
  using Type = std::uint32_t;
};
template <>
struct BitsOf<double> {
  using Type = std::uint64_t;
};

template <class T>
using Bits = typename BitsOf<T>::Type;

// All NaNs become this one, which is above infinity.
template <class T>
inline constexpr Bits<T> kNanBits = static_cast<Bits<T>>(-1) >> 1U;

template <class T>
struct Kernels {
  std::size_t mr;
  std::size_t nr;

  // One panel of mr or nr rows over one feature block, from `count` rows of `features` numbers one after another, and
  // norms[i] = or += <row i, row i>.
  void (*pack_left)(const T* rows, std::size_t count, std::size_t features, T* panel, T* norms, bool accumulate);
  void (*pack_right)(const T* rows, std::size_t count, std::size_t features, T* panel, T* norms, bool accumulate);

  // dots[i][j] = or += <left row i, right row j> over one feature block, for whole panels. Each sum runs feature by
  // feature, like that of the norms, so that two identical rows are found to be at distance exactly 0.
  void (*dots)(const T* left, std::size_t left_panels, const T* right, std::size_t right_panels, std::size_t features,
               T* dots, std::size_t stride, bool accumulate);

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

  // bits[i] = those of |a[i] - b[i]|, kNanBits for a NaN. Writes the places, in order, of those that do not exceed the
  // bound, and returns how many there are; adds the number of NaNs to *nans. Room for `count` of both.
  std::size_t (*differences)(const T* a, const T* b, std::size_t count, Bits<T> bound, Bits<T>* bits,
                             std::uint16_t* places, std::size_t* nans);
};

// The table for the active instruction set.
template <class T>
const Kernels<T>& kernels();

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

}  // namespace ssiqa
