// Distances, kernels and products with them, in whichever way is faster.
#pragma once

#include <type_traits>

#include "direct.h"
#include "tensor.h"

namespace ssiqa::gpu {

// Fewer multiplications than these are done sooner than rows are prepared for tensor cores.
inline constexpr double kTensorWork = 0x1p27;

template <class T>
bool use_tensor_cores(const Batch<T>& x, const Batch<T>& z) {
  return std::is_same_v<T, float> && static_cast<double>(x.first.rows) * static_cast<double>(z.first.rows) *
                                             static_cast<double>(x.first.cols) >=
                                         kTensorWork;
}

// Calls one(batch, memory) for each batch, all with the same scratch memory.
template <class One>
void one_by_one(std::size_t batches, Scratch& memory, const One& one) {
  if (memory.only_counts()) batches = 1;  // all take as much
  const Scratch before = memory;
  for (std::size_t b = 0; b < batches; ++b) {
    memory = before;
    one(b);
  }
}

// out: (batches, x.rows, z.rows).
template <class T>
void queue_matrix(const Batch<T>& x, const Batch<T>& z, std::size_t batches, Entries entries, double gamma, T* out,
                  Scratch& memory, cudaStream_t stream) {
  if constexpr (std::is_same_v<T, float>) {
    if (use_tensor_cores(x, z)) {
      one_by_one(batches, memory, [&](std::size_t b) {
        queue_tensor_matrix(x[b], z[b], entries, static_cast<float>(gamma), Products::high,
                            out + b * x.first.rows * z.first.rows, memory, stream);
      });
      return;
    }
  }
  if (!memory.only_counts()) queue_direct_matrix(x, z, batches, entries, static_cast<T>(gamma), out, stream);
}

// out: (batches, x.rows, coef.cols); a gamma for each batch.
template <class T>
void queue_matvec(const Batch<T>& x, const Batch<T>& z, const Batch<T>& coef, std::size_t batches, const double* gammas,
                  Products products, T* out, Scratch& memory, cudaStream_t stream) {
  if constexpr (std::is_same_v<T, float>) {
    if (use_tensor_cores(x, z)) {
      one_by_one(batches, memory, [&](std::size_t b) {
        queue_tensor_matvec(x[b], z[b], coef[b], static_cast<float>(gammas[b]), products,
                            out + b * x.first.rows * coef.first.cols, memory, stream);
      });
      return;
    }
  }
  queue_direct_matvec(x, z, coef, batches, gammas, out, memory, stream);
}

}  // namespace ssiqa::gpu
