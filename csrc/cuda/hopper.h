// What products of rows ask of a Hopper GPU beyond gpu.h: copies that a barrier in shared memory counts, and matrix
// instructions of four warps that read shared memory themselves. Names and layouts are those of NVIDIA's PTX manual.
#pragma once

#include <cstdint>

#include "gpu.h"

// Whether what follows can be compiled for the architecture at hand: sm_90a has it, and nothing before or after.
#if defined(SSIQA_GPU_MODEL) || !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define SSIQA_WGMMA_CODE 1
#else
#define SSIQA_WGMMA_CODE 0
#endif

#ifdef SSIQA_GPU_MODEL
#include "hopper_model.h"
#endif

namespace ssiqa::gpu {

// Four warps' accumulators: of each lane in columns of eight, as in `multiply`.
using WideSums = float[32][4];

#ifdef __CUDACC__

// A barrier is complete when so many threads have arrived and all bytes are there that one of them has announced.
__device__ inline void barrier_init(std::uint64_t* barrier, unsigned threads) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(threads) : "memory");
}

// Makes new barriers known to copies.
__device__ inline void barriers_ready() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

__device__ inline void barrier_arrive(std::uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}

__device__ inline void barrier_announce(std::uint64_t* barrier, unsigned bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
               : "memory");
}

// Waits until the barrier was complete for the first, third, ... time (parity 0) or the second, fourth, ... (parity 1).
__device__ inline void barrier_wait(std::uint64_t* barrier, unsigned parity) {
  unsigned done = 0;
  while (done == 0) {
    asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}"
                 : "=r"(done)
                 : "r"(shared_address(barrier)), "r"(parity)
                 : "memory");
  }
}

// Copies from global to shared memory; the barrier counts the bytes. All are multiples of 16.
__device__ inline void copy_bulk(void* to, const void* from, unsigned bytes, std::uint64_t* barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   shared_address(to)),
               "l"(__cvta_generic_to_global(from)), "r"(bytes), "r"(shared_address(barrier))
               : "memory");
}

#define SSIQA_FOUR(i) "+f"(sums[i][0]), "+f"(sums[i][1]), "+f"(sums[i][2]), "+f"(sums[i][3])
#define SSIQA_SIXTEEN(i) SSIQA_FOUR(i), SSIQA_FOUR(i + 1), SSIQA_FOUR(i + 2), SSIQA_FOUR(i + 3)
#define SSIQA_SUMS                                                                                        \
  SSIQA_SIXTEEN(0), SSIQA_SIXTEEN(4), SSIQA_SIXTEEN(8), SSIQA_SIXTEEN(12), SSIQA_SIXTEEN(16), SSIQA_SIXTEEN(20), \
      SSIQA_SIXTEEN(24), SSIQA_SIXTEEN(28)

// Registers of each thread of the four warps that call it: fewer than they have, or more, once others have given up theirs.
template <int kCount>
__device__ void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCount));
}
template <int kCount>
__device__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kCount));
}

// Waits for so many threads of the block, in whole warps: others may be gone.
template <unsigned kCount>
__device__ void wait_for_some() {
  asm volatile("bar.sync 1, %0;" ::"n"(kCount) : "memory");
}

// Before the first product after anything else has touched the sums.
__device__ inline void wide_begin(WideSums& sums) { asm volatile("wgmma.fence.sync.aligned;" : SSIQA_SUMS::"memory"); }

// sums = a b, or sums += a b, 64 by 256, of a (64 by 16) and b (16 by 256) in half precision, where four warps each have 16
// rows. It is some time before it is done; until then nothing may touch the sums, a or b.
__device__ inline void wide_multiply(WideSums& sums, std::uint64_t a, std::uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %130, 0;\nwgmma.mma_async.sync.aligned.m64n256k16.f32.f16.f16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
      "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
      "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "
      "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, "
      "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127}, "
      "%128, %129, p, 1, 1, 0, 0;\n}"
      : SSIQA_SUMS
      : "l"(a), "l"(b), "r"(static_cast<int>(add)));
}

// All products since the last such call are a group.
__device__ inline void wide_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Waits until at most so many groups are on their way.
template <int kGroups>
__device__ void wide_wait(WideSums& sums) {
  asm volatile("wgmma.wait_group.sync.aligned %128;" : SSIQA_SUMS : "n"(kGroups) : "memory");
}

#undef SSIQA_SUMS
#undef SSIQA_SIXTEEN
#undef SSIQA_FOUR

#endif

// Rows of 64 bytes in shared memory, whose pieces of 16 are exchanged as SplitRows has them; eight of them begin at a multiple
// of 512 bytes.
__device__ __device__ inline std::uint64_t rows_of_64_bytes(const void* first) {
  constexpr std::uint64_t kEightRows = 512 >> 4;
  constexpr std::uint64_t kUnused = 1;
  constexpr std::uint64_t kExchanged = 2;  // within 64 bytes
  return (shared_address(first) & 0x3FFFFU) >> 4 | kUnused << 16 | kEightRows << 32 | kExchanged << 62;
}

}  // namespace ssiqa::gpu
