// The inner loops, written once with the compiler's vector types and compiled once per instruction set by the three
// kernels_<isa>.cpp files. Everything here has internal linkage and uses no library template: a function that the linker
// could merge with the same one of another file would carry this file's instructions to processors that lack them.
//
// Before inclusion: SSIQA_ISA (namespace), SSIQA_VECTOR_BYTES, SSIQA_PANEL_VECTORS and SSIQA_PANEL_ROWS.

#include <cstddef>
#include <cstdint>

#include "kernels.h"

#define SSIQA_INLINE inline __attribute__((always_inline))

namespace ssiqa::SSIQA_ISA {
namespace {

template <class T>
struct Simd;

template <>
struct Simd<float> {
  using Vector = float __attribute__((vector_size(SSIQA_VECTOR_BYTES)));
  using Bits = std::uint32_t __attribute__((vector_size(SSIQA_VECTOR_BYTES)));
  using Ints = std::int32_t __attribute__((vector_size(SSIQA_VECTOR_BYTES)));
  using Bytes = std::int8_t __attribute__((vector_size(SSIQA_VECTOR_BYTES / 4)));  // one for each number
  static constexpr int kMantissaBits = 23;
  static constexpr float kRound = 0x1.8p23F;     // adding it leaves the nearest integer in the low bits
  static constexpr float kLowest = -87.33654F;   // exp of anything lower is below the smallest normal number
  static constexpr float kLog2e = 0x1.715476p0F;
  static constexpr float kLn2High = 0x1.62e4p-1F;  // 16 bits, so that its product with an exponent is exact
  static constexpr float kLn2Low = 0x1.7f7d1cp-20F;
  // The Taylor series from the highest degree down: for |r| <= ln(2)/2 the next term is below a tenth of an ulp.
  static constexpr float kSeries[] = {1.0F / 5040, 1.0F / 720, 1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F, 1.0F, 1.0F};
};

template <>
struct Simd<double> {
  using Vector = double __attribute__((vector_size(SSIQA_VECTOR_BYTES)));
  using Bits = std::uint64_t __attribute__((vector_size(SSIQA_VECTOR_BYTES)));
  using Ints = std::int64_t __attribute__((vector_size(SSIQA_VECTOR_BYTES)));
  using Bytes = std::int8_t __attribute__((vector_size(SSIQA_VECTOR_BYTES / 8)));  // one for each number
  static constexpr int kMantissaBits = 52;
  static constexpr double kRound = 0x1.8p52;
  static constexpr double kLowest = -708.3964185322641;
  static constexpr double kLog2e = 0x1.71547652b82fep0;
  static constexpr double kLn2High = 0x1.62e42fefap-1;  // 36 bits
  static constexpr double kLn2Low = 0x1.cf79abc9e3b39p-40;
  static constexpr double kSeries[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880,
                                       1.0 / 40320,      1.0 / 5040,      1.0 / 720,      1.0 / 120,     1.0 / 24,
                                       1.0 / 6,          0.5,             1.0,            1.0};
};

template <class T>
using Vector = typename Simd<T>::Vector;

template <class T>
constexpr std::size_t kLanes = SSIQA_VECTOR_BYTES / sizeof(T);

template <class T>
constexpr std::size_t kPanelCols = SSIQA_PANEL_VECTORS * kLanes<T>;

template <class T>
SSIQA_INLINE Vector<T> load(const T* from) {
  Vector<T> v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

template <class T>
SSIQA_INLINE void store(T* to, Vector<T> v) {
  __builtin_memcpy(to, &v, sizeof v);
}

// The sums of a tile of SSIQA_PANEL_ROWS x kPanelCols numbers, all held in registers.
template <class T>
using Sums = Vector<T>[SSIQA_PANEL_ROWS][SSIQA_PANEL_VECTORS];

// Adds the products of one feature.
template <class T>
SSIQA_INLINE void add_feature(Sums<T>& sums, const T* left, std::size_t row_stride, const T* right) {
  Vector<T> columns[SSIQA_PANEL_VECTORS];
#pragma GCC unroll 8
  for (std::size_t v = 0; v < SSIQA_PANEL_VECTORS; ++v) columns[v] = load<T>(right + v * kLanes<T>);
#pragma GCC unroll 16
  for (std::size_t r = 0; r < SSIQA_PANEL_ROWS; ++r) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < SSIQA_PANEL_VECTORS; ++v) sums[r][v] += left[r * row_stride] * columns[v];
  }
}

template <class T>
SSIQA_INLINE void store_sums(const Sums<T>& sums, T* out, std::size_t stride, bool accumulate) {
#pragma GCC unroll 16
  for (std::size_t r = 0; r < SSIQA_PANEL_ROWS; ++r) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < SSIQA_PANEL_VECTORS; ++v) {
      T* const to = out + r * stride + v * kLanes<T>;
      store<T>(to, accumulate ? load<T>(to) + sums[r][v] : sums[r][v]);
    }
  }
}

template <class T>
SSIQA_INLINE void tile(const T* left, const T* right, std::size_t features, T* out, std::size_t stride,
                       bool accumulate) {
  Sums<T> sums = {};
  for (std::size_t k = 0; k < features; ++k) {
    add_feature<T>(sums, left, 1, right);
    left += SSIQA_PANEL_ROWS;
    right += kPanelCols<T>;
  }
  store_sums<T>(sums, out, stride, accumulate);
}

template <class T>
void dots(const void* left, std::size_t left_panels, const void* right, std::size_t right_panels, std::size_t features,
          T* out, std::size_t stride, bool accumulate) {
  // The right panel stays in the first-level cache while the left ones pass by.
  for (std::size_t j = 0; j < right_panels; ++j) {
    for (std::size_t i = 0; i < left_panels; ++i) {
      tile<T>(static_cast<const T*>(left) + i * features * SSIQA_PANEL_ROWS,
              static_cast<const T*>(right) + j * features * kPanelCols<T>, features,
              out + i * SSIQA_PANEL_ROWS * stride + j * kPanelCols<T>, stride, accumulate);
    }
  }
}

template <class T>
SSIQA_INLINE void grouped_tile(const Grouped<T>& left, const T* rows, const T* right, T* out, std::size_t stride,
                               bool accumulate) {
  Sums<T> sums = {};
  for (std::size_t g = 0; g < left.groups; ++g) {
    const T* const from = rows + g * left.group_stride;
    for (std::size_t k = 0; k < left.group; ++k) {
      add_feature<T>(sums, from + k, left.row_stride, right);
      right += kPanelCols<T>;
    }
  }
  store_sums<T>(sums, out, stride, accumulate);
}

template <class T>
void grouped_dots(const Grouped<T>& left, std::size_t left_rows, const T* right, std::size_t right_stride,
                  std::size_t right_panels, T* out, std::size_t stride, bool accumulate) {
  for (std::size_t j = 0; j < right_panels; ++j) {
    for (std::size_t r = 0; r < left_rows; r += SSIQA_PANEL_ROWS) {
      grouped_tile<T>(left, left.data + r * left.row_stride, right + j * right_stride,
                      out + r * stride + j * kPanelCols<T>, stride, accumulate);
    }
  }
}

template <class T, std::size_t kWidth>
void pack(const T* rows, std::size_t count, std::size_t features, void* to_panel, T* norms, bool accumulate) {
  T* const panel = static_cast<T*>(to_panel);
  for (std::size_t k = 0; k < features; ++k) {
    T* const to = panel + k * kWidth;
    if (count == kWidth) {
      for (std::size_t r = 0; r < kWidth; ++r) to[r] = rows[r * features + k];
    } else {
      for (std::size_t r = 0; r < kWidth; ++r) to[r] = r < count ? rows[r * features + k] : T{0};
    }
  }
  // By vectors, in a loop of its own: elsewhere the compiler rounds some products before it adds them.
  constexpr std::size_t kBytes = kWidth * sizeof(T) < SSIQA_VECTOR_BYTES ? kWidth * sizeof(T) : SSIQA_VECTOR_BYTES;
  constexpr std::size_t kParts = kWidth * sizeof(T) / kBytes;
  typedef T Part __attribute__((vector_size(kBytes)));  // "using" drops the attribute of a dependent type
  Part sums[kParts] = {};
  for (std::size_t k = 0; k < features; ++k) {
    Part parts[kParts];
    __builtin_memcpy(parts, panel + k * kWidth, sizeof parts);
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kParts; ++v) sums[v] += parts[v] * parts[v];
  }
  if (accumulate) {
    Part before[kParts];
    __builtin_memcpy(before, norms, sizeof before);
    for (std::size_t v = 0; v < kParts; ++v) sums[v] += before[v];
  }
  __builtin_memcpy(norms, sums, sizeof sums);
}

// Applies `function` to `count` places, a vector at a time; the last vector is stored in part.
template <class T, class Function>
SSIQA_INLINE void for_each_vector(std::size_t count, T* out, Function function) {
  std::size_t j = 0;
  for (; j + kLanes<T> <= count; j += kLanes<T>) store<T>(out + j, function(j));
  if (j < count) {
    const Vector<T> last = function(j);
    __builtin_memcpy(out + j, &last, (count - j) * sizeof(T));
  }
}

template <class T>
SSIQA_INLINE Vector<T> distance(Vector<T> dot, T norm, Vector<T> norms) {
  const Vector<T> d = (norm + norms) - 2 * dot;
  return d > 0 ? d : Vector<T>{};
}

template <class T>
SSIQA_INLINE Vector<T> exponential(Vector<T> x) {
  using S = Simd<T>;
  using Bits = typename S::Bits;
  const auto tiny = x < S::kLowest;
  x = tiny ? Vector<T>{} + S::kLowest : x;
  const Vector<T> shifted = x * S::kLog2e + S::kRound;
  const Vector<T> n = shifted - S::kRound;
  const Vector<T> r = (x - n * S::kLn2High) - n * S::kLn2Low;
  Vector<T> power = Vector<T>{} + S::kSeries[0];
#pragma GCC unroll 16
  for (std::size_t i = 1; i < sizeof(S::kSeries) / sizeof(T); ++i) power = power * r + S::kSeries[i];
  Bits bits;
  Bits exponent;
  __builtin_memcpy(&bits, &power, sizeof bits);
  __builtin_memcpy(&exponent, &shifted, sizeof exponent);
  bits += exponent << S::kMantissaBits;
  __builtin_memcpy(&power, &bits, sizeof power);
  return tiny ? Vector<T>{} : power;
}

template <class T>
void distances(const T* dots, T norm, const T* norms, std::size_t count, T* out) {
  for_each_vector<T>(count, out, [=](std::size_t j) {
    return distance<T>(load<T>(dots + j), norm, load<T>(norms + j));
  });
}

template <class T>
void rbf(const T* dots, T norm, const T* norms, T gamma, std::size_t count, T* out) {
  for_each_vector<T>(count, out, [=](std::size_t j) {
    return exponential<T>(-gamma * distance<T>(load<T>(dots + j), norm, load<T>(norms + j)));
  });
}

template <class T>
double dot(const T* a, const T* b, std::size_t count) {
  Vector<T> sums[SSIQA_PANEL_VECTORS] = {};
  for (std::size_t j = 0; j < count; j += kPanelCols<T>) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < SSIQA_PANEL_VECTORS; ++v) {
      sums[v] += load<T>(a + j + v * kLanes<T>) * load<T>(b + j + v * kLanes<T>);
    }
  }
  typedef double Doubles __attribute__((vector_size(kLanes<T> * sizeof(double))));
  Doubles total = {};
#pragma GCC unroll 8
  for (std::size_t v = 0; v < SSIQA_PANEL_VECTORS; ++v) total += __builtin_convertvector(sums[v], Doubles);
  // By halves: one after another, each addition would wait for the one before.
  double lanes[kLanes<T>];
  __builtin_memcpy(lanes, &total, sizeof lanes);
#pragma GCC unroll 8
  for (std::size_t half = kLanes<T> / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

template <class T>
void panel_times(const T* panel, std::size_t features, const T* x, T* out) {
  Vector<T> even[SSIQA_PANEL_VECTORS] = {};  // two sets of sums, so that additions do not wait for each other
  Vector<T> odd[SSIQA_PANEL_VECTORS] = {};
  for (std::size_t k = 0; k < features; k += 2) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < SSIQA_PANEL_VECTORS; ++v) {
      even[v] += x[k] * load<T>(panel + v * kLanes<T>);
      odd[v] += x[k + 1] * load<T>(panel + kPanelCols<T> + v * kLanes<T>);
    }
    panel += 2 * kPanelCols<T>;
  }
#pragma GCC unroll 8
  for (std::size_t v = 0; v < SSIQA_PANEL_VECTORS; ++v) store<T>(out + v * kLanes<T>, even[v] + odd[v]);
}

template <class T>
void transposed_panel_times(const T* panel, std::size_t features, const T* x, T* out) {
  Vector<T> rows[SSIQA_PANEL_VECTORS];
#pragma GCC unroll 8
  for (std::size_t v = 0; v < SSIQA_PANEL_VECTORS; ++v) rows[v] = load<T>(x + v * kLanes<T>);
  for (std::size_t k = 0; k < features; ++k) {
    Vector<T> sum = {};
#pragma GCC unroll 8
    for (std::size_t v = 0; v < SSIQA_PANEL_VECTORS; ++v) sum += rows[v] * load<T>(panel + v * kLanes<T>);
    T total = 0;
#pragma GCC unroll 16
    for (std::size_t lane = 0; lane < kLanes<T>; ++lane) total += sum[lane];
    out[k] += total;
    panel += kPanelCols<T>;
  }
}

// Differences are compared a group at a time, because in most groups nothing passes; at most 64.
template <class T>
constexpr std::size_t kGroup = 4 * kLanes<T>;

template <class T>
using Ints = typename Simd<T>::Ints;

// One bit for each difference of a group: whether its bits are not above the bound.
template <class T>
SSIQA_INLINE std::uint64_t group_within(const T* a, const T* b, Bits<T> bound, Ints<T>& nans) {
  using Bytes = typename Simd<T>::Bytes;
  constexpr Bits<T> kMagnitude = static_cast<Bits<T>>(~(std::uint64_t{1} << (8 * sizeof(T) - 1)));
  Ints<T> passes[4];
  Ints<T> some{};
#pragma GCC unroll 4
  for (std::size_t v = 0; v < 4; ++v) {
    const Vector<T> difference = load<T>(a + v * kLanes<T>) - load<T>(b + v * kLanes<T>);
    nans -= difference != difference;
    Ints<T> bits;
    __builtin_memcpy(&bits, &difference, sizeof bits);
    passes[v] = (bits & kMagnitude) <= bound;
    some |= passes[v];
  }
  std::uint64_t parts[sizeof some / sizeof(std::uint64_t)];
  __builtin_memcpy(parts, &some, sizeof some);
  std::uint64_t any = 0;
#pragma GCC unroll 8
  for (const std::uint64_t part : parts) any |= part;
  if (any == 0) return 0;

  std::uint64_t words[kGroup<T> / 8];  // a byte for each difference
#pragma GCC unroll 4
  for (std::size_t v = 0; v < 4; ++v) {
    const Bytes bytes = __builtin_convertvector(passes[v], Bytes);
    __builtin_memcpy(reinterpret_cast<char*>(words) + v * sizeof bytes, &bytes, sizeof bytes);
  }
  std::uint64_t mask = 0;
#pragma GCC unroll 8
  for (std::size_t w = 0; w < kGroup<T> / 8; ++w) {
    // The product moves the lowest bit of byte i to bit 56 + i, and no two bits to one place.
    mask |= ((words[w] & 0x0101010101010101U) * 0x0102040810204080U >> 56U) << 8 * w;
  }
  return mask;
}

template <class T>
std::size_t within(const T* a, const T* b, std::size_t count, Bits<T> bound, std::uint16_t* places, std::size_t* nans) {
  Ints<T> nan_counts{};
  std::size_t found = 0;
  const auto note = [&](std::size_t first, std::uint64_t mask) {
    for (; mask != 0; mask &= mask - 1) {
      places[found++] = static_cast<std::uint16_t>(first + static_cast<std::size_t>(__builtin_ctzll(mask)));
    }
  };
  std::size_t i = 0;
  for (; i + kGroup<T> <= count; i += kGroup<T>) note(i, group_within<T>(a + i, b + i, bound, nan_counts));
  if (i < count) {
    T last_of_a[kGroup<T>] = {};
    T last_of_b[kGroup<T>] = {};
    __builtin_memcpy(last_of_a, a + i, (count - i) * sizeof(T));
    __builtin_memcpy(last_of_b, b + i, (count - i) * sizeof(T));
    note(i, group_within<T>(last_of_a, last_of_b, bound, nan_counts) & ((std::uint64_t{1} << (count - i)) - 1));
  }
  for (std::size_t lane = 0; lane < kLanes<T>; ++lane) *nans += static_cast<std::size_t>(nan_counts[lane]);
  return found;
}

template <class T>
constexpr Kernels<T> table() {
  static_assert(kBlockCols<T> % kPanelCols<T> == 0);
  static_assert(kRowUnit % kPanelCols<T> == 0 && kRowUnit % SSIQA_PANEL_ROWS == 0);
  static_assert(kFeatureBlock % kPanelCols<T> == 0 && kPanelCols<T> % SSIQA_PANEL_ROWS == 0);  // tiles of triangle.h
  return {{SSIQA_PANEL_ROWS, kPanelCols<T>, 1, sizeof(T), pack<T, SSIQA_PANEL_ROWS>, pack<T, kPanelCols<T>>, dots<T>},
          grouped_dots<T>, distances<T>, rbf<T>, dot<T>, panel_times<T>, transposed_panel_times<T>, within<T>};
}

}  // namespace

extern const Kernels<float> kFloat = table<float>();
extern const Kernels<double> kDouble = table<double>();

}  // namespace ssiqa::SSIQA_ISA
