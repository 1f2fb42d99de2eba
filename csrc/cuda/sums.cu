#include "sums.h"

namespace ssiqa::gpu {
namespace {

constexpr unsigned kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kThreads) sum(const double* parts, std::size_t splits, std::size_t count, T* out) {
  const std::size_t i = std::size_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= count) return;
  double total = 0;
  for (std::size_t split = 0; split < splits; ++split) total += parts[split * count + i];
  out[i] = static_cast<T>(total);
}

}  // namespace

template <class T>
void queue_sum(const double* parts, std::size_t splits, std::size_t count, T* out, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>(ceil_div<std::size_t>(count, kThreads));
  launch(sum<T>, {blocks}, kThreads, 0, stream, parts, splits, count, out);
}

template void queue_sum(const double*, std::size_t, std::size_t, float*, cudaStream_t);
template void queue_sum(const double*, std::size_t, std::size_t, double*, cudaStream_t);

}  // namespace ssiqa::gpu
