#include "direct.h"

#include <algorithm>
#include <cmath>

#include "sums.h"

namespace ssiqa::gpu {
namespace {

constexpr unsigned kSide = 64;      // rows and columns of a block's tile
constexpr unsigned kEach = 4;       // of them, a thread's
constexpr unsigned kAcross = kSide / kEach;
constexpr unsigned kThreads = kAcross * kAcross;
constexpr unsigned kFeatures = 16;  // at a time
constexpr std::size_t kMostAcross = 1024;  // blocks along y: CUDA allows 65,535
constexpr unsigned kPadding = 4;    // so that neighbouring features lie in different banks

template <class T>
struct Strips {
  T x[kFeatures][kSide + kPadding];
  T z[kFeatures][kSide + kPadding];
};

// The block's tile of rows, some features of them; 0 beyond the matrix.
template <class T>
__device__ void load(T (&strip)[kFeatures][kSide + kPadding], const MatrixView<T>& rows, std::size_t first,
                     std::size_t feature) {
  for (unsigned i = threadIdx.x; i < kFeatures * kSide; i += kThreads) {
    const std::size_t row = first + i / kFeatures;
    const std::size_t column = feature + i % kFeatures;
    strip[i % kFeatures][i / kFeatures] = row < rows.rows && column < rows.cols ? rows(row, column) : T{0};
  }
}

// Squared distances of a thread's rows, first_x + kEach * (threadIdx.x / kAcross) and on, to its rows of z, first_z + kEach *
// (threadIdx.x % kAcross) and on.
template <class T>
__device__ void distances(const MatrixView<T>& x, std::size_t first_x, const MatrixView<T>& z, std::size_t first_z,
                          Strips<T>& strips, T (&sums)[kEach][kEach]) {
  for (auto& row : sums) {
    for (T& sum : row) sum = 0;
  }
  const unsigned down = threadIdx.x / kAcross * kEach;
  const unsigned across = threadIdx.x % kAcross * kEach;
  for (std::size_t feature = 0; feature < x.cols; feature += kFeatures) {
    __syncthreads();  // all are done with the strips before
    load(strips.x, x, first_x, feature);
    load(strips.z, z, first_z, feature);
    __syncthreads();
#pragma unroll
    for (unsigned k = 0; k < kFeatures; ++k) {
#pragma unroll
      for (unsigned i = 0; i < kEach; ++i) {
#pragma unroll
        for (unsigned j = 0; j < kEach; ++j) {
          const T difference = strips.x[k][down + i] - strips.z[k][across + j];
          sums[i][j] += difference * difference;
        }
      }
    }
  }
}

// The tiles of z are dealt out to the blocks along y, of which there may not be as many.
template <class T>
__global__ void __launch_bounds__(kThreads)
    matrix(Batch<T> xs, Batch<T> zs, Entries entries, T gamma, T* out) {
  __shared__ Strips<T> strips;
  const MatrixView<T> x = xs[blockIdx.z];
  const MatrixView<T> z = zs[blockIdx.z];
  const std::size_t first_x = std::size_t{blockIdx.x} * kSide;
  out += blockIdx.z * x.rows * z.rows;
  for (std::size_t first_z = std::size_t{blockIdx.y} * kSide; first_z < z.rows; first_z += gridDim.y * kSide) {
    T sums[kEach][kEach];
    distances(x, first_x, z, first_z, strips, sums);
    for (unsigned i = 0; i < kEach; ++i) {
      const std::size_t row = first_x + threadIdx.x / kAcross * kEach + i;
      for (unsigned j = 0; j < kEach; ++j) {
        const std::size_t column = first_z + threadIdx.x % kAcross * kEach + j;
        if (row >= x.rows || column >= z.rows) continue;
        out[row * z.rows + column] = entries == Entries::kernel ? std::exp(-gamma * sums[i][j]) : sums[i][j];
      }
    }
  }
}

// parts: (gridDim.y, gridDim.z, x.rows, coef.cols), of which this writes kTargets columns from `target` on. The tiles of z are
// dealt out to the blocks along y.
template <class T, unsigned kTargets>
__global__ void __launch_bounds__(kThreads)
    matvec(Batch<T> xs, Batch<T> zs, Batch<T> coefs, Numbers<T> gammas, std::size_t target, double* parts) {
  __shared__ Strips<T> strips;
  const MatrixView<T> x = xs[blockIdx.z];
  const MatrixView<T> z = zs[blockIdx.z];
  const MatrixView<T> coef = coefs[blockIdx.z];
  const T gamma = gammas.values[blockIdx.z];
  const std::size_t first_x = std::size_t{blockIdx.x} * kSide;
  double totals[kEach][kTargets] = {};
  for (std::size_t first_z = std::size_t{blockIdx.y} * kSide; first_z < z.rows; first_z += gridDim.y * kSide) {
    T sums[kEach][kEach];
    distances(x, first_x, z, first_z, strips, sums);
    for (unsigned j = 0; j < kEach; ++j) {
      const std::size_t column = first_z + threadIdx.x % kAcross * kEach + j;
      if (column >= z.rows) break;
      T weights[kTargets];
      for (unsigned t = 0; t < kTargets; ++t) weights[t] = target + t < coef.cols ? coef(column, target + t) : T{0};
      for (unsigned i = 0; i < kEach; ++i) {
        const T near = std::exp(-gamma * sums[i][j]);
        for (unsigned t = 0; t < kTargets; ++t) totals[i][t] += static_cast<double>(near * weights[t]);
      }
    }
  }
  parts += (std::size_t{blockIdx.y} * gridDim.z + blockIdx.z) * x.rows * coef.cols;
  for (unsigned i = 0; i < kEach; ++i) {
    const std::size_t row = first_x + threadIdx.x / kAcross * kEach + i;
    for (unsigned t = 0; t < kTargets; ++t) {
      double total = totals[i][t];
      for (int mask = kAcross / 2; mask > 0; mask /= 2) total += shuffle_xor(total, mask);
      if (threadIdx.x % kAcross == 0 && row < x.rows && target + t < coef.cols) {
        parts[row * coef.cols + target + t] = total;
      }
    }
  }
}

template <class T, unsigned kTargets>
void queue_targets(const Batch<T>& x, const Batch<T>& z, const Batch<T>& coef, const Numbers<T>& gammas, dim3 grid,
                   double* parts, cudaStream_t stream) {
  for (std::size_t target = 0; target < coef.first.cols; target += kTargets) {
    launch(matvec<T, kTargets>, grid, kThreads, 0, stream, x, z, coef, gammas, target, parts);
  }
}

template <class T>
Batch<T> from(const Batch<T>& batches, std::size_t b) {
  return {batches[b], batches.stride};
}

}  // namespace

template <class T>
void queue_direct_matrix(const Batch<T>& x, const Batch<T>& z, std::size_t batches, Entries entries, T gamma, T* out,
                         cudaStream_t stream) {
  const std::size_t entries_each = x.first.rows * z.first.rows;
  for (std::size_t b = 0; b < batches; b += kMostBatches) {
    const std::size_t count = batches - b < kMostBatches ? batches - b : kMostBatches;
    const std::size_t tiles = ceil_div<std::size_t>(z.first.rows, kSide);
    const dim3 grid{static_cast<unsigned>(ceil_div<std::size_t>(x.first.rows, kSide)),
                    static_cast<unsigned>(std::min(tiles, kMostAcross)), static_cast<unsigned>(count)};
    launch(matrix<T>, grid, kThreads, 0, stream, from(x, b), from(z, b), entries, gamma, out + b * entries_each);
  }
}

template <class T>
void queue_direct_matvec(const Batch<T>& x, const Batch<T>& z, const Batch<T>& coef, std::size_t batches,
                         const double* gammas, T* out, Scratch& memory, cudaStream_t stream) {
  const std::size_t rows = x.first.rows;
  const std::size_t targets = coef.first.cols;
  const std::size_t blocks = ceil_div<std::size_t>(rows, kSide);
  const std::size_t at_once = batches < kMostBatches ? batches : kMostBatches;
  const std::size_t splits = splits_for(blocks * at_once, ceil_div<std::size_t>(z.first.rows, kSide));
  auto* const parts = memory.take<double>(splits * at_once * rows * targets);
  if (memory.only_counts()) return;
  for (std::size_t b = 0; b < batches; b += at_once) {
    const std::size_t count = batches - b < at_once ? batches - b : at_once;
    Numbers<T> numbers{};
    for (std::size_t i = 0; i < count; ++i) numbers.values[i] = static_cast<T>(gammas[b + i]);
    const dim3 grid{static_cast<unsigned>(blocks), static_cast<unsigned>(splits), static_cast<unsigned>(count)};
    if (targets == 1) {
      queue_targets<T, 1>(from(x, b), from(z, b), from(coef, b), numbers, grid, parts, stream);
    } else {
      queue_targets<T, kEach>(from(x, b), from(z, b), from(coef, b), numbers, grid, parts, stream);
    }
    queue_sum(parts, splits, count * rows * targets, out + b * rows * targets, stream);
  }
}

template void queue_direct_matrix(const Batch<float>&, const Batch<float>&, std::size_t, Entries, float, float*,
                                  cudaStream_t);
template void queue_direct_matrix(const Batch<double>&, const Batch<double>&, std::size_t, Entries, double, double*,
                                  cudaStream_t);
template void queue_direct_matvec(const Batch<float>&, const Batch<float>&, const Batch<float>&, std::size_t,
                                  const double*, float*, Scratch&, cudaStream_t);
template void queue_direct_matvec(const Batch<double>&, const Batch<double>&, const Batch<double>&, std::size_t,
                                  const double*, double*, Scratch&, cudaStream_t);

}  // namespace ssiqa::gpu
