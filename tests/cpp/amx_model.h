// What the instructions of amx_tiles.h are defined to do, in plain C++, so that the product is tested on every machine.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "amx_config.h"
#include "check.h"

namespace ssiqa {
namespace {

struct TileModel {
  bool configured = false;
  alignas(kTileRowBytes) std::byte tiles[8][kTileBytes];
};

// Tiles may only be used between configuration and release, on the thread that did it.
inline TileModel& tile_model() {
  thread_local TileModel model;
  return model;
}

template <int kTile>
std::byte* tile_in_use() {
  CHECK(tile_model().configured);
  return tile_model().tiles[kTile];
}

inline void tiles_configure() {
  CHECK(!tile_model().configured);
  tile_model().configured = true;
  std::memset(tile_model().tiles, 0, sizeof tile_model().tiles);
}

inline void tiles_release() {
  CHECK(tile_model().configured);
  tile_model().configured = false;
}

template <int kTile>
void tile_zero() {
  std::memset(tile_in_use<kTile>(), 0, kTileBytes);
}

template <int kTile>
void tile_load(const void* from, std::size_t stride) {
  std::byte* const tile = tile_in_use<kTile>();
  for (std::size_t r = 0; r < kTileRows; ++r) {
    std::memcpy(tile + r * kTileRowBytes, static_cast<const std::byte*>(from) + r * stride, kTileRowBytes);
  }
}

template <int kTile>
void tile_store(void* to, std::size_t stride) {
  const std::byte* const tile = tile_in_use<kTile>();
  for (std::size_t r = 0; r < kTileRows; ++r) {
    std::memcpy(static_cast<std::byte*>(to) + r * stride, tile + r * kTileRowBytes, kTileRowBytes);
  }
}

// Subnormal numbers count as zero and become zero, whatever the mode of the processor.
inline float flushed(float x) { return std::abs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0F, x) : x; }

inline float sum(float a, float b) { return flushed(flushed(a) + flushed(b)); }

// a * b + c rounded once, for numbers that are not subnormal. The product of two bfloat16 numbers has 16 bits, so that it is
// exact unless it leaves the range of float.
inline float fused(float a, float b, float c) {
  const float product = a * b;
  return flushed(std::isnormal(product) || product == 0 ? product + c : std::fma(a, b, c));
}

struct Numbers {
  float at[kTileRows][kTileRows][2];  // row, pair, element

  explicit Numbers(const std::byte* tile) {
    for (std::size_t i = 0; i < kTileRows * kTileRows * 2; ++i) {
      std::uint32_t bits = 0;
      std::memcpy(reinterpret_cast<std::byte*>(&bits) + 2, tile + 2 * i, 2);
      float value;
      std::memcpy(&value, &bits, sizeof value);
      (&at[0][0][0])[i] = flushed(value);
    }
  }
};

template <int kSums, int kLeft, int kRight>
void tile_multiply() {
  const Numbers left(tile_in_use<kLeft>());
  const Numbers right(tile_in_use<kRight>());
  float sums[kTileRows][kTileRows];
  std::memcpy(sums, tile_in_use<kSums>(), sizeof sums);
  for (std::size_t m = 0; m < kTileRows; ++m) {
    float parts[kTileRows][2] = {};
    for (std::size_t k = 0; k < kTileRows; ++k) {
      for (std::size_t n = 0; n < kTileRows; ++n) {
        parts[n][0] = fused(left.at[m][k][0], right.at[k][n][0], parts[n][0]);
        parts[n][1] = fused(left.at[m][k][1], right.at[k][n][1], parts[n][1]);
      }
    }
    for (std::size_t n = 0; n < kTileRows; ++n) sums[m][n] = sum(sums[m][n], sum(parts[n][0], parts[n][1]));
  }
  std::memcpy(tile_in_use<kSums>(), sums, sizeof sums);
}

}  // namespace
}  // namespace ssiqa
