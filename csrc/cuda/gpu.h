// What the kernels ask of a GPU: launches, and the instructions that C++ has no word for. Names and layouts are those of
// NVIDIA's PTX manual. In tests without a GPU a model of one stands in: see tests/cpp/gpu_model.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#ifdef SSIQA_GPU_MODEL
#include "gpu_model.h"
#else
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#endif

namespace ssiqa::gpu {

class CudaError : public std::runtime_error {
 public:
  explicit CudaError(const std::string& message) : std::runtime_error(message) {}
};

inline void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  throw CudaError(std::string(what) + ": CUDA says " + cudaGetErrorString(status) + ".");
}

inline constexpr unsigned kWarp = 32;

template <class Integer>
constexpr Integer ceil_div(Integer a, Integer b) {
  return (a + b - 1) / b;
}

template <class Integer>
constexpr Integer round_up(Integer a, Integer b) {
  return ceil_div(a, b) * b;
}

// Deals out parts of one piece of device memory that the caller brings. Without memory it only counts, and what is asked of
// such scratch memory is done no further: that tells the caller how much to bring.
class Scratch {
 public:
  explicit Scratch(void* memory = nullptr) : memory_(static_cast<char*>(memory)) {}

  template <class T>
  T* take(std::size_t count) {
    char* const part = memory_ == nullptr ? nullptr : memory_ + bytes_;
    bytes_ += round_up<std::size_t>(count * sizeof(T), kAlignment);
    return reinterpret_cast<T*>(part);
  }

  bool only_counts() const { return memory_ == nullptr; }
  std::size_t bytes() const { return bytes_; }

 private:
  static constexpr std::size_t kAlignment = 256;
  char* memory_;
  std::size_t bytes_ = 0;
};

#ifndef SSIQA_GPU_MODEL

// Of the current device.
inline std::size_t attribute(cudaDeviceAttr which) {
  int device = 0;
  int value = 0;
  check(cudaGetDevice(&device), "The current device");
  check(cudaDeviceGetAttribute(&value, which, device), "An attribute of the device");
  return static_cast<std::size_t>(value);
}

// Bytes of shared memory that a block may have.
inline std::size_t most_shared() { return attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin); }

inline std::size_t multiprocessors() { return attribute(cudaDevAttrMultiProcessorCount); }

#endif

#ifdef __CUDACC__

// Queues kernel(arguments...) on the stream, with so many bytes of dynamic shared memory.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, unsigned threads, std::size_t shared, cudaStream_t stream,
            Arguments... arguments) {
  constexpr std::size_t kWithoutAsking = 48 << 10;
  if (shared > kWithoutAsking) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)),
          "A kernel's shared memory");
  }
  kernel<<<grid, threads, shared, stream>>>(static_cast<Parameters>(arguments)...);
  check(cudaGetLastError(), "A kernel's launch");
}

__device__ inline char* dynamic_shared() {
  extern __shared__ __align__(512) char memory[];
  return memory;
}

template <class T>
__device__ T shuffle_xor(T value, int mask) {
  return __shfl_xor_sync(0xFFFFFFFFU, value, mask);
}

__device__ inline unsigned shared_address(const void* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

// Half precision, to the nearest and between two to the even one.
__device__ inline std::uint16_t to_half(float x) { return __half_as_ushort(__float2half_rn(x)); }
__device__ inline float from_half(std::uint16_t bits) { return __half2float(__ushort_as_half(bits)); }

// Copies 16 bytes to shared memory, some time before the group they belong to is waited for.
__device__ inline void copy_async(void* to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from) : "memory");
}

// All copies of this thread since the last such call are a group.
__device__ inline void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most so many groups of this thread are on their way.
template <int kGroups>
__device__ void copy_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroups) : "memory");
}

// Four matrices of 8 rows of 16 bytes, whose addresses are given by the lanes, eight each: lane l gets of each matrix the
// 4 bytes at row l / 4, column l % 4.
__device__ inline void load_matrices(std::uint32_t (&to)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}

// sums += a b, 16 by 8, of a (16 by 16) and b (16 by 8) in half precision, spread over the lanes of a warp.
__device__ inline void multiply(float (&sums)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
               "{%0, %1, %2, %3};"
               : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// The product rounded to float, also where it is added to something at once.
__device__ inline float times(float a, float b) { return __fmul_rn(a, b); }

// 2^x, right to 2 units in the last place.
__device__ inline float exp2_fast(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

#endif

}  // namespace ssiqa::gpu
