// A model of what csrc/cuda/hopper.h asks of a GPU. Copies arrive when their barrier is waited for and no sooner, and products
// are computed when they are waited for, from what is in shared memory then.
#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "gpu_model.h"

namespace ssiqa::gpu {

namespace model {

inline bool wgmma = false;

struct SharedBarrier {
  std::int32_t bytes;  // on their way
  std::uint8_t threads;
  std::uint8_t missing;
  std::uint8_t parity;
  std::uint8_t is_initialised;  // what is not is 0xFF, as all of shared memory

  void settle() {
    if (missing > 0 || bytes > 0) return;
    missing = threads;
    parity ^= 1U;
  }
};
static_assert(sizeof(SharedBarrier) == sizeof(std::uint64_t));

inline SharedBarrier& barrier_at(std::uint64_t* place) {
  auto& barrier = *reinterpret_cast<SharedBarrier*>(place);
  if (barrier.is_initialised != 1) throw std::logic_error("A barrier is used that was not initialised.");
  return barrier;
}

struct BulkCopy {
  void* to;
  const void* from;
  std::size_t bytes;
  std::uint64_t* barrier;
};
inline std::vector<BulkCopy> bulk_copies;

inline void arrive_copies(std::uint64_t* place) {
  std::erase_if(bulk_copies, [place](const BulkCopy& copy) {
    if (copy.barrier != place) return false;
    std::memcpy(copy.to, copy.from, copy.bytes);
    SharedBarrier& barrier = barrier_at(place);
    barrier.bytes -= static_cast<std::int32_t>(copy.bytes);
    barrier.settle();
    return true;
  });
}

struct Product {
  float (*sums)[4];
  std::uint64_t a;
  std::uint64_t b;
  bool add;
};

// Of each thread, in groups, of which the last one is still open.
inline std::vector<std::vector<std::vector<Product>>> products;

inline std::vector<std::vector<Product>>& my_products() {
  if (products.size() <= threadIdx.x) products.resize(threadIdx.x + 1);
  if (products[threadIdx.x].empty()) products[threadIdx.x].emplace_back();
  return products[threadIdx.x];
}

// Number k of a row, by the manual's descriptor: where the rows begin, how far eight of them are from the next eight, and
// which bits of an address are exchanged with which.
inline float element(std::uint64_t descriptor, unsigned row, unsigned k) {
  if (descriptor >> 62U != 2) throw std::logic_error("Only rows of 64 bytes that are exchanged within are modelled.");
  const std::uint64_t start = (descriptor & 0x3FFFU) << 4U;
  const std::uint64_t eight = ((descriptor >> 32U) & 0x3FFFU) << 4U;
  std::uint64_t address = start + row / 8 * eight + row % 8 * 64 + 2 * k;
  address ^= ((address >> 7U) & 3U) << 4U;
  std::uint16_t bits = 0;
  std::memcpy(&bits, Block::current->shared() + address, sizeof bits);
  return from_half(bits);
}

inline void compute(const Product& product) {
  const unsigned lane = threadIdx.x % 32;
  const unsigned warp = threadIdx.x / 32 % 4;
  for (unsigned high = 0; high < 2; ++high) {
    float a[16];
    for (unsigned k = 0; k < 16; ++k) a[k] = element(product.a, 16 * warp + lane / 4 + 8 * high, k);
    for (unsigned j = 0; j < 32; ++j) {
      for (unsigned low = 0; low < 2; ++low) {
        float& sum = product.sums[j][2 * high + low];
        if (!product.add) sum = 0;
        std::array<float, 16> terms;
        for (unsigned k = 0; k < 16; ++k) terms[k] = a[k] * element(product.b, 8 * j + 2 * (lane % 4) + low, k);
        sum = add_cut_off(sum, terms, 2);
      }
    }
  }
}

}  // namespace model

inline bool has_wgmma() { return model::wgmma; }

inline std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(static_cast<const char*>(pointer) - model::Block::current->shared());
}

inline void barrier_init(std::uint64_t* barrier, unsigned threads) {
  const auto count = static_cast<std::uint8_t>(threads);
  *reinterpret_cast<model::SharedBarrier*>(barrier) = {0, count, count, 0, 1};
}

inline void barriers_ready() {}

inline void barrier_arrive(std::uint64_t* place) {
  model::SharedBarrier& barrier = model::barrier_at(place);
  if (barrier.missing == 0) throw std::logic_error("More threads arrive at a barrier than it waits for.");
  --barrier.missing;
  barrier.settle();
}

inline void barrier_announce(std::uint64_t* place, unsigned bytes) {
  model::barrier_at(place).bytes += static_cast<std::int32_t>(bytes);
  barrier_arrive(place);
}

inline void barrier_wait(std::uint64_t* place, unsigned parity) {
  model::Block::current->wait_until([place, parity] {
    model::arrive_copies(place);
    return model::barrier_at(place).parity != parity;
  });
}

inline void copy_bulk(void* to, const void* from, unsigned bytes, std::uint64_t* barrier) {
  if (reinterpret_cast<std::uintptr_t>(to) % 16 != 0 || reinterpret_cast<std::uintptr_t>(from) % 16 != 0 || bytes % 16 != 0) {
    throw std::logic_error("A bulk copy has addresses and a size that are multiples of 16.");
  }
  model::bulk_copies.push_back({to, from, bytes, barrier});
}

template <int kCount>
void give_registers() {}

template <int kCount>
void take_registers() {}

template <unsigned kCount>
void wait_for_some() {
  model::Block::current->wait_for_some(kCount);
}

inline void wide_begin(float (&)[32][4]) {}

inline void wide_multiply(float (&sums)[32][4], std::uint64_t a, std::uint64_t b, bool add) {
  model::my_products().back().push_back({sums, a, b, add});
}

inline void wide_commit() { model::my_products().emplace_back(); }

template <int kGroups>
void wide_wait(float (&)[32][4]) {
  auto& groups = model::my_products();
  while (groups.size() > kGroups + 1) {
    for (const model::Product& product : groups.front()) model::compute(product);
    groups.erase(groups.begin());
  }
  model::Block::current->wait_for_warp();  // it is one instruction of all lanes
}

}  // namespace ssiqa::gpu
