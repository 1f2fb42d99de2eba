#include "rows.h"

#include <cmath>

namespace ssiqa::gpu {
namespace {

constexpr std::size_t kSampled = 1024;
constexpr unsigned kRowThreads = 8;
constexpr int kExponent = 8;
constexpr int kLeastExponent = -126;

// A block for 32 columns, and a row of threads for an eighth of the sampled rows.
__global__ void __launch_bounds__(kWarp* kRowThreads) centre_of(MatrixView<float> z, std::size_t step, float* centre) {
  __shared__ float sums[kRowThreads][kWarp];
  const unsigned lane = threadIdx.x % kWarp;
  const unsigned part = threadIdx.x / kWarp;
  const std::size_t column = std::size_t{blockIdx.x} * kWarp + lane;
  const auto count = static_cast<float>(ceil_div(z.rows, step));
  float sum = 0;
  if (column < z.cols) {
    for (std::size_t row = part * step; row < z.rows; row += kRowThreads * step) {
      const float value = z(row, column) / count;
      if (std::isfinite(value)) sum += value;  // what is no number is its own row's affair
    }
  }
  sums[part][lane] = sum;
  __syncthreads();
  if (part != 0 || column >= z.cols) return;
  for (unsigned i = 1; i < kRowThreads; ++i) sum += sums[i][lane];
  centre[column] = sum;
}

// A warp for each row, those of the padding included.
__global__ void __launch_bounds__(kWarp* kRowThreads) split(MatrixView<float> x, const float* centre, SplitRows to) {
  const std::size_t row = std::size_t{blockIdx.x} * kRowThreads + threadIdx.x / kWarp;
  if (row >= to.padded_rows) return;
  const unsigned lane = threadIdx.x % kWarp;
  const auto value = [&](std::size_t column) {
    return row < x.rows && column < x.cols ? x(row, column) - centre[column] : 0.0F;
  };
  float largest = 0;
  for (std::size_t column = lane; column < x.cols; column += kWarp) largest = std::fmax(largest, std::fabs(value(column)));
  for (int mask = kWarp / 2; mask > 0; mask /= 2) largest = std::fmax(largest, shuffle_xor(largest, mask));
  // The largest number of a row comes to 2^8, far from where half precision ends either way, or less where no float is as
  // small as the unit would be. What is infinite becomes NaN.
  const bool scaled = largest > 0 && largest < INFINITY;
  const int exponent = scaled ? std::ilogb(largest) - kExponent : 0;
  const float unit = std::ldexp(1.0F, exponent < kLeastExponent ? kLeastExponent : exponent);
  float norm = 0;
  for (std::size_t column = lane; column < to.depth; column += kWarp) {
    const float number = value(column) / unit;
    norm += number * number;
    const std::uint16_t high = to_half(number);
    to.parts[0][to.place(row, column)] = high;
    to.parts[1][to.place(row, column)] = to_half(number - from_half(high));
  }
  for (int mask = kWarp / 2; mask > 0; mask /= 2) norm += shuffle_xor(norm, mask);
  if (lane != 0) return;
  to.units[row] = unit;
  to.norms[row] = norm;
}

}  // namespace

void queue_centre(const MatrixView<float>& z, float* centre, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>(ceil_div<std::size_t>(z.cols, kWarp));
  launch(centre_of, {blocks}, kWarp * kRowThreads, 0, stream, z, ceil_div(z.rows, kSampled), centre);
}

void queue_split(const MatrixView<float>& x, const float* centre, const SplitRows& to, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>(ceil_div<std::size_t>(to.padded_rows, kRowThreads));
  launch(split, {blocks}, kWarp * kRowThreads, 0, stream, x, centre, to);
}

}  // namespace ssiqa::gpu
