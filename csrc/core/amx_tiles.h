// The instructions of the tile unit: eight tiles of 16 rows of 64 bytes, and the product of two of them. Written as
// assembly because the compilers' own names for them do not say that memory is read, so that stores before them get lost.
#pragma once

#include <cstddef>

#include "amx_config.h"

namespace ssiqa {
namespace {

// Tiles hold nothing before and after; every thread has its own.
inline void tiles_configure() { asm volatile("ldtilecfg %0" : : "m"(kTileConfig) : "memory"); }
inline void tiles_release() { asm volatile("tilerelease" : : : "memory"); }

template <int kTile>
inline void tile_zero() {
  asm volatile("tilezero %%tmm%c0" : : "i"(kTile));
}

// `stride` is in bytes.
template <int kTile>
inline void tile_load(const void* from, std::size_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(kTile) : "memory");
}

template <int kTile>
inline void tile_store(void* to, std::size_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(kTile) : "memory");
}

// sums[m][n] += left[m][2k] right[k][2n] + left[m][2k + 1] right[k][2n + 1] over all k: bfloat16 numbers, float sums.
template <int kSums, int kLeft, int kRight>
inline void tile_multiply() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSums), "i"(kLeft), "i"(kRight));
}

}  // namespace
}  // namespace ssiqa
