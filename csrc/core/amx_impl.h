// The product of packed panels on the tile unit. A float is split into the sum of two bfloat16 numbers, high + low, and of
// the product of two such sums high*high + high*low + low*high is computed.
//
// What is left out is at most 3 * 2^-16 |x z| for each product of two features: low is at most 2^-8 of x, so low*low is at
// most 2^-16 of x z, and so is each of the two remainders of the split. Products below the smallest normal float count as 0.
// The sum for rows i and j has the same bits as that for j and i: high and low share a pair, (high, low) on the left and
// (low, high) on the right, and the unit adds the two sums of a pair last. Norms are the diagonal of a panel times itself,
// so that identical rows have the same norm and product and are at distance exactly 0.
//
// Before inclusion: SSIQA_ISA (namespace), and the functions of amx_tiles.h or their model. Internal linkage throughout,
// as in kernels_impl.h.

#include <cstddef>
#include <cstdint>
#include <utility>

#include "amx_config.h"
#include "kernels.h"

namespace ssiqa::SSIQA_ISA {
namespace {

typedef float Floats __attribute__((vector_size(kTileRowBytes)));
typedef std::uint32_t Words __attribute__((vector_size(kTileRowBytes)));

// A step takes 32 features: three tiles for each group of 16 rows. On the left, row by row: the high parts of features k
// and k + 16 in pair k; (high, low) of the first 16 features; those of the others. On the right the pairs are transposed.
constexpr std::size_t kStep = 32;
constexpr std::size_t kTiles = 3;
constexpr std::size_t kGroups = 2;  // of rows in a panel: two left and two right tiles feed four tiles of sums
constexpr std::size_t kPanelRows = kGroups * kTileRows;
constexpr std::size_t kGroupBytes = kTiles * kTileBytes;
constexpr std::size_t kStepBytes = kGroups * kGroupBytes;

struct alignas(kTileRowBytes) Tile {
  Words rows[kTileRows];
};

// Tiles are in use while one of these lives.
struct TileUse {
  TileUse() { tiles_configure(); }
  ~TileUse() { tiles_release(); }
  TileUse(const TileUse&) = delete;
  TileUse& operator=(const TileUse&) = delete;
};

template <class To, class From>
inline To bits_of(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}

// Rounded to the nearest bfloat16, ties to even, in the upper half of each word. Adding could turn the bits of a NaN into
// those of a number.
inline Words rounded(Floats x) {
  const Words bits = bits_of<Words>(x);
  const Words nearest = (bits + 0x7fffU + (bits >> 16U & 1U)) & 0xffff0000U;
  return x == x ? nearest : Words{} + 0x7fc00000U;
}

// Row r of the three left tiles, from 32 features.
inline void split_row(const float* features, Tile* left, std::size_t r) {
  Floats x[2];
  __builtin_memcpy(x, features, sizeof x);
  Words high[2];
  for (std::size_t half = 0; half < 2; ++half) {
    high[half] = rounded(x[half]) >> 16U;
    const Words low = rounded(x[half] - bits_of<Floats>(high[half] << 16U));
    left[1 + half].rows[r] = high[half] | low;
  }
  left[0].rows[r] = high[0] | high[1] << 16U;
}

// Exchanges blocks of kWidth x kWidth words across the diagonal of blocks of twice that size.
template <int kWidth, int... kLane>
inline void exchange(Words* rows, std::integer_sequence<int, kLane...> /*lanes*/) {
  for (std::size_t i = 0; i < kTileRows; ++i) {
    if ((i & kWidth) != 0) continue;
    const Words a = rows[i];
    const Words b = rows[i + kWidth];
    rows[i] = __builtin_shufflevector(a, b, ((kLane & kWidth) == 0 ? kLane : kLane - kWidth + 16)...);
    rows[i + kWidth] = __builtin_shufflevector(a, b, ((kLane & kWidth) == 0 ? kLane + kWidth : kLane + 16)...);
  }
}

inline void transpose(const Tile& from, Tile& to) {
  constexpr std::make_integer_sequence<int, kTileRows> kLanes;
  Words rows[kTileRows];
  __builtin_memcpy(rows, &from, sizeof rows);
  exchange<8>(rows, kLanes);
  exchange<4>(rows, kLanes);
  exchange<2>(rows, kLanes);
  exchange<1>(rows, kLanes);
  __builtin_memcpy(&to, rows, sizeof rows);
}

// The left and the right tiles of one step of a group of rows; rows and features beyond the last are 0.
inline void pack_step(const float* rows, std::size_t count, std::size_t stride, std::size_t features, Tile* left,
                      Tile* right) {
  for (std::size_t r = 0; r < kTileRows; ++r) {
    if (r < count && features == kStep) {
      split_row(rows + r * stride, left, r);
    } else {
      float padded[kStep] = {};
      if (r < count) __builtin_memcpy(padded, rows + r * stride, features * sizeof(float));
      split_row(padded, left, r);
    }
  }
  for (std::size_t t = 0; t < kTiles; ++t) transpose(left[t], right[t]);
  for (std::size_t t = 1; t < kTiles; ++t) {
    for (Words& pairs : right[t].rows) pairs = pairs << 16U | pairs >> 16U;
  }
}

enum class Side { left, right };

template <Side kSide>
void pack(const float* rows, std::size_t count, std::size_t features, void* panel, float* norms, bool accumulate) {
  const TileUse use;
  for (std::size_t group = 0; group < kGroups; ++group) {
    const std::size_t first = group * kTileRows;
    const std::size_t present = count > first ? count - first : 0;
    alignas(kTileRowBytes) float sums[kTileRows][kTileRows] = {};
    for (std::size_t r = 0; r < kTileRows && accumulate; ++r) sums[r][r] = norms[first + r];
    tile_load<0>(sums, kTileRowBytes);
    auto* to = static_cast<std::byte*>(panel) + group * kGroupBytes;
    for (std::size_t k = 0; k < features; k += kStep, to += kStepBytes) {
      Tile left[kTiles];
      Tile right[kTiles];
      pack_step(rows + first * features + k, present, features, features - k < kStep ? features - k : kStep, left, right);
      __builtin_memcpy(to, kSide == Side::left ? left : right, kGroupBytes);
      for (std::size_t t = 0; t < kTiles; ++t) {
        tile_load<4>(left + t, kTileRowBytes);
        tile_load<6>(right + t, kTileRowBytes);
        tile_multiply<0, 4, 6>();
      }
    }
    tile_store<0>(sums, kTileRowBytes);
    for (std::size_t r = 0; r < kTileRows; ++r) norms[first + r] = sums[r][r];
  }
}

// 32 x 32 sums. Tiles 0 to 3 are sums, 4 and 5 left, 6 and 7 right; every tile that is loaded is used twice.
inline void multiply_panels(const std::byte* left, const std::byte* right, std::size_t steps, float* out,
                            std::size_t stride, bool accumulate) {
  const std::size_t row_bytes = stride * sizeof(float);
  float* const lower = out + kTileRows * stride;
  if (accumulate) {
    tile_load<0>(out, row_bytes);
    tile_load<1>(out + kTileRows, row_bytes);
    tile_load<2>(lower, row_bytes);
    tile_load<3>(lower + kTileRows, row_bytes);
  } else {
    tile_zero<0>();
    tile_zero<1>();
    tile_zero<2>();
    tile_zero<3>();
  }
  for (const std::byte* const end = left + steps * kStepBytes; left < end; left += kStepBytes, right += kStepBytes) {
    for (std::size_t t = 0; t < kGroupBytes; t += kTileBytes) {
      tile_load<4>(left + t, kTileRowBytes);
      tile_load<6>(right + t, kTileRowBytes);
      tile_multiply<0, 4, 6>();
      tile_load<7>(right + kGroupBytes + t, kTileRowBytes);
      tile_multiply<1, 4, 7>();
      tile_load<5>(left + kGroupBytes + t, kTileRowBytes);
      tile_multiply<2, 5, 6>();
      tile_multiply<3, 5, 7>();
    }
  }
  tile_store<0>(out, row_bytes);
  tile_store<1>(out + kTileRows, row_bytes);
  tile_store<2>(lower, row_bytes);
  tile_store<3>(lower + kTileRows, row_bytes);
}

void dots(const void* left, std::size_t left_panels, const void* right, std::size_t right_panels, std::size_t features,
          float* out, std::size_t stride, bool accumulate) {
  const TileUse use;
  const std::size_t steps = (features + kStep - 1) / kStep;
  const auto panel = [steps](const void* panels, std::size_t p) {
    return static_cast<const std::byte*>(panels) + p * steps * kStepBytes;
  };
  for (std::size_t j = 0; j < right_panels; ++j) {
    for (std::size_t i = 0; i < left_panels; ++i) {
      multiply_panels(panel(left, i), panel(right, j), steps, out + i * kPanelRows * stride + j * kPanelRows, stride,
                      accumulate);
    }
  }
}

static_assert(kBlockCols<float> % kPanelRows == 0);

}  // namespace

extern const Products<float> kFloat = {kPanelRows,       kPanelRows,        kStep, kStepBytes / (kStep * kPanelRows),
                                       pack<Side::left>, pack<Side::right>, dots};

}  // namespace ssiqa::SSIQA_ISA
