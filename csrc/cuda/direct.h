// Kernels by differences of rows: nothing cancels, and one launch does for many small matrices.
#pragma once

#include "batch.h"
#include "gpu.h"

namespace ssiqa::gpu {

enum class Entries { distances, kernel };

// out: (batches, x.rows, z.rows). gamma is not used for distances.
template <class T>
void queue_direct_matrix(const Batch<T>& x, const Batch<T>& z, std::size_t batches, Entries entries, T gamma, T* out,
                         cudaStream_t stream);

// out: (batches, x.rows, coef.cols); a gamma for each batch.
template <class T>
void queue_direct_matvec(const Batch<T>& x, const Batch<T>& z, const Batch<T>& coef, std::size_t batches,
                         const double* gammas, T* out, Scratch& memory, cudaStream_t stream);

}  // namespace ssiqa::gpu
