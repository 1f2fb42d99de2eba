// A model of a GPU on the CPU, for csrc/cuda/gpu.h: a block's threads are fibers that take turns at barriers and at
// instructions of a whole warp. What a kernel reads before it was written is NaN, or what another block left; copies to
// shared memory arrive when they are waited for and no sooner. Each warp runs as far as it gets without the others, the first
// one first or, on request, the last one, so that a missing barrier shows in one of the two.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <stdexcept>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __launch_bounds__(...)

struct dim3 {
  unsigned x = 1;
  unsigned y = 1;
  unsigned z = 1;
};

using cudaStream_t = void*;
enum cudaError_t { cudaSuccess };
inline const char* cudaGetErrorString(cudaError_t) { return "nothing"; }
inline cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t) {
  std::memset(memory, value, bytes);
  return cudaSuccess;
}

inline thread_local dim3 threadIdx, blockIdx, gridDim, blockDim;

namespace ssiqa::gpu {

namespace model {

inline bool descending = false;

class Block {
 public:
  static constexpr std::size_t kStack = std::size_t{64} << 10U;
  static constexpr std::size_t kAlignment = 512;

  explicit Block(unsigned threads) : fibers_(threads) {
    if (threads % 32 != 0 || threads > 1024) throw std::logic_error("A block has whole warps, and at most 32 of them.");
    for (Fiber& fiber : fibers_) fiber.stack = std::make_unique_for_overwrite<char[]>(kStack);
  }

  void run(const std::function<void()>& body, std::size_t shared) {
    shared_.assign(shared + kAlignment, '\xFF');
    body_ = &body;
    barriers_.fill({});
    running_ = fibers_.size();
    for (Fiber& fiber : fibers_) {
      fiber.done = fiber.begun = false;
      fiber.groups.assign(1, {});
      getcontext(&fiber.context);
      fiber.context.uc_stack.ss_sp = fiber.stack.get();
      fiber.context.uc_stack.ss_size = kStack;
      makecontext(&fiber.context, enter, 0);
    }
    current = this;
    const std::size_t warps = fibers_.size() / 32;
    while (running_ > 0) {
      const std::uint64_t before = turns_;
      for (std::size_t i = 0; i < warps; ++i) run_warp(descending ? warps - 1 - i : i);
      if (turns_ == before) throw std::logic_error("All threads wait for others: a barrier that not all reach.");
    }
    current = nullptr;
  }

  // Of the whole block, of so many of its threads, or of the calling thread's warp.
  void wait_for_block() { wait(barriers_[0], fibers_.size()); }
  void wait_for_some(std::size_t threads) { wait(barriers_[33], threads); }
  void wait_for_warp() { wait(barriers_[1 + at_ / 32], 32); }

  // Other threads have their turns until `is_so`.
  template <class Condition>
  void wait_until(const Condition& is_so) {
    ++turns_;
    while (!is_so()) yield();
    ++turns_;
  }

  template <class T>
  T* exchange() {
    static_assert(sizeof(T) <= sizeof(exchange_[0]) / 32);
    return reinterpret_cast<T*>(exchange_[at_ / 32].data());
  }

  using Copy = std::array<void*, 2>;
  std::vector<std::vector<Copy>>& copies() { return fibers_[at_].groups; }
  char* shared() {
    return shared_.data() + (kAlignment - reinterpret_cast<std::uintptr_t>(shared_.data()) % kAlignment);
  }

  static inline thread_local Block* current = nullptr;

 private:
  struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    jmp_buf place;  // once it has begun: unlike a context's, its changes cost no call of the system
    std::vector<std::vector<Copy>> groups;
    bool begun;
    bool done;
  };
  struct Barrier {
    std::size_t arrived = 0;
    std::uint64_t passed = 0;
  };

  // As far as it gets without the other warps.
  void run_warp(std::size_t warp) {
    std::uint64_t before;
    do {
      before = turns_;
      for (std::size_t i = 0; i < 32; ++i) {
        at_ = 32 * warp + (descending ? 31 - i : i);
        if (fibers_[at_].done) continue;
        threadIdx = {static_cast<unsigned>(at_)};
        resume(fibers_[at_]);
      }
    } while (turns_ != before);
  }

  static void enter() {
    Block& block = *current;
    (*block.body_)();
    block.fibers_[block.at_].done = true;
    --block.running_;
    ++block.turns_;
    _longjmp(block.scheduler_, 1);
  }

  [[gnu::noinline]] void resume(Fiber& fiber) {
    if (_setjmp(scheduler_) != 0) return;
    if (fiber.begun) _longjmp(fiber.place, 1);
    fiber.begun = true;
    setcontext(&fiber.context);
  }

  [[gnu::noinline]] void yield() {
    if (_setjmp(fibers_[at_].place) == 0) _longjmp(scheduler_, 1);
  }

  void wait(Barrier& barrier, std::size_t all) {
    const std::uint64_t passed = barrier.passed;
    ++turns_;
    if (++barrier.arrived == all) {
      barrier.arrived = 0;
      ++barrier.passed;
    }
    // Also the last one yields, or it would be ahead of its turn.
    do {
      yield();
    } while (barrier.passed == passed);
    ++turns_;
  }

  std::vector<Fiber> fibers_;
  std::vector<char> shared_;
  jmp_buf scheduler_;
  const std::function<void()>* body_ = nullptr;
  std::array<Barrier, 34> barriers_;
  alignas(16) std::array<std::array<char, 2048>, 32> exchange_;
  std::size_t at_ = 0;
  std::size_t running_ = 0;
  std::uint64_t turns_ = 0;
};

// Of what all lanes of the warp give, the calling lane's result; give and get are apart by two barriers.
template <class Given, class Get>
auto together(const Given& given, const Get& get) {
  Block& block = *Block::current;
  Given* const all = block.exchange<Given>();
  all[threadIdx.x % 32] = given;
  block.wait_for_warp();
  auto result = get(all);
  block.wait_for_warp();
  return result;
}

}  // namespace model

inline std::uint16_t to_half(float x) {
  if (std::isnan(x)) return 0x7E00;
  const std::uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  const float size = std::abs(x);
  if (size >= 65520) return sign | 0x7C00;
  int exponent = size < 0x1p-14F ? -14 : std::ilogb(size);
  auto digits = static_cast<int>(std::nearbyint(std::ldexp(size, 10 - exponent)));
  if (digits == 2048) {
    digits = 1024;
    ++exponent;
  }
  return static_cast<std::uint16_t>(sign | (digits < 1024 ? digits : ((exponent + 15) << 10) + digits - 1024));
}

namespace model {
inline float from_half(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int digits = bits & 1023;
  const float sign = (bits & 0x8000) != 0 ? -1.0F : 1.0F;
  if (exponent == 31) return digits != 0 ? NAN : sign * INFINITY;
  return sign * std::ldexp(static_cast<float>(exponent == 0 ? digits : digits + 1024), (exponent == 0 ? 1 : exponent) - 25);
}
}  // namespace model

inline float from_half(std::uint16_t bits) {
  static const std::vector<float> all = [] {
    std::vector<float> values(1U << 16U);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = model::from_half(static_cast<std::uint16_t>(i));
    return values;
  }();
  return all[bits];
}

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, unsigned threads, std::size_t shared, cudaStream_t,
            Arguments... arguments) {
  static std::map<unsigned, model::Block> blocks;  // their stacks are most of the cost of a launch
  model::Block& block = blocks.try_emplace(threads, threads).first->second;
  gridDim = grid;
  blockDim = {threads};
  const std::function<void()> body = [&] { kernel(static_cast<Parameters>(arguments)...); };
  for (unsigned z = 0; z < grid.z; ++z) {
    for (unsigned y = 0; y < grid.y; ++y) {
      for (unsigned x = 0; x < grid.x; ++x) {
        blockIdx = {x, y, z};
        block.run(body, shared);
      }
    }
  }
}

namespace model {
inline std::size_t most_shared = std::size_t{99} << 10U;
inline std::size_t multiprocessors = 2;
}
inline std::size_t most_shared() { return model::most_shared; }
inline std::size_t multiprocessors() { return model::multiprocessors; }

inline char* dynamic_shared() { return model::Block::current->shared(); }

template <class T>
T shuffle_xor(T value, int mask) {
  return model::together(value, [mask](const T* all) { return all[(threadIdx.x % 32) ^ static_cast<unsigned>(mask)]; });
}

inline void copy_async(void* to, const void* from) {
  if (reinterpret_cast<std::uintptr_t>(to) % 16 != 0 || reinterpret_cast<std::uintptr_t>(from) % 16 != 0) {
    throw std::logic_error("An asynchronous copy of 16 bytes has addresses that are multiples of 16.");
  }
  model::Block::current->copies().back().push_back({to, const_cast<void*>(from)});
}

inline void copy_commit() { model::Block::current->copies().emplace_back(); }

template <int kGroups>
void copy_wait() {
  auto& groups = model::Block::current->copies();  // the last one is still open
  while (groups.size() > kGroups + 1) {
    for (const auto& [to, from] : groups.front()) std::memcpy(to, from, 16);
    groups.erase(groups.begin());
  }
}

inline void load_matrices(std::uint32_t (&to)[4], const void* row) {
  struct Loaded {
    std::uint32_t parts[4];
  };
  const Loaded loaded = model::together(row, [](const void* const* rows) {
    const unsigned lane = threadIdx.x % 32;
    Loaded result;
    for (unsigned i = 0; i < 4; ++i) {
      std::memcpy(&result.parts[i], static_cast<const char*>(rows[8 * i + lane / 4]) + 4 * (lane % 4), 4);
    }
    return result;
  });
  for (unsigned i = 0; i < 4; ++i) to[i] = loaded.parts[i];
}

namespace model {

// What a tensor core adds at once, as measured on such devices: all terms are cut off at some bits below the largest one, and
// the sum at those of float.
template <std::size_t kTerms>
float add_cut_off(float sum, const std::array<float, kTerms>& terms, int bits_below_float) {
  constexpr int kDigits = std::numeric_limits<float>::digits;
  float plain = sum;
  float largest = std::abs(sum);
  for (const float term : terms) {
    plain += term;
    largest = std::max(largest, std::abs(term));
  }
  if (largest == 0 || !std::isfinite(plain)) return plain;
  const double last = std::ldexp(1.0, std::ilogb(largest) - (kDigits - 1) - bits_below_float);
  const double scale = 1 / last;
  auto total = static_cast<std::int64_t>(sum * scale);
  for (const float term : terms) total += static_cast<std::int64_t>(term * scale);
  const auto digits = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(std::abs(total))));
  const std::int64_t unit = std::int64_t{1} << std::max(0, digits - kDigits);
  return static_cast<float>(static_cast<double>(total / unit * unit) * last);
}

}  // namespace model

inline void multiply(float (&sums)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  struct Given {
    std::uint32_t a[4];
    std::uint32_t b[2];
  };
  struct Sums {
    float values[4];
  };
  const Given mine{{a[0], a[1], a[2], a[3]}, {b0, b1}};
  const Sums added = model::together(mine, [&sums](const Given* all) {
    const unsigned lane = threadIdx.x % 32;
    Sums result{};
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned row = lane / 4 + 8 * (i / 2);
      const unsigned column = 2 * (lane % 4) + i % 2;
      result.values[i] = sums[i];
      for (unsigned half = 0; half < 2; ++half) {
        std::array<float, 8> terms;
        for (unsigned k = 0; k < 8; ++k) {
          const std::uint32_t left = all[4 * (row % 8) + k / 2].a[row / 8 + 2 * half];
          const std::uint32_t right = all[4 * column + k / 2].b[half];
          const unsigned shift = 16 * (k % 2);
          terms[k] =
              from_half(static_cast<std::uint16_t>(left >> shift)) * from_half(static_cast<std::uint16_t>(right >> shift));
        }
        result.values[i] = model::add_cut_off(result.values[i], terms, 1);
      }
    }
    return result;
  });
  std::copy_n(added.values, 4, sums);
}

inline float times(float a, float b) { return a * b; }

inline float exp2_fast(float x) { return std::exp2(x); }

}  // namespace ssiqa::gpu

inline void __syncthreads() { ssiqa::gpu::model::Block::current->wait_for_block(); }
inline void __syncwarp() { ssiqa::gpu::model::Block::current->wait_for_warp(); }

template <class T>
T atomicAdd(T* to, T value) {
  const T before = *to;
  *to += value;
  return before;
}
