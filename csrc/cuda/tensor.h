// Kernels of float rows on tensor cores, where there is much to do.
#pragma once

#include <cstddef>

#include "direct.h"
#include "gpu.h"
#include "view.h"

namespace ssiqa::gpu {

// Of products of rows: those of two parts of half precision each, about as exact as float, or of one.
enum class Products { high, medium };

// out: x.rows by z.rows.
void queue_tensor_matrix(const MatrixView<float>& x, const MatrixView<float>& z, Entries entries, float gamma,
                         Products products, float* out, Scratch& memory, cudaStream_t stream);

// out: x.rows by coef.cols. Scratch memory: as much as z takes, twice the coefficients, and as much as 1,024 rows of x for
// each multiprocessor.
void queue_tensor_matvec(const MatrixView<float>& x, const MatrixView<float>& z, const MatrixView<float>& coef,
                         float gamma, Products products, float* out, Scratch& memory, cudaStream_t stream);

}  // namespace ssiqa::gpu
