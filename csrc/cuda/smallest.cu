#include "smallest.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <type_traits>

#include "append.h"
#include "sort.h"

namespace ssiqa::gpu {
namespace {

constexpr unsigned kThreads = 512;
constexpr unsigned kEach = 8;  // elements of a thread at a time, where elements are kept
constexpr std::size_t kBlocksEach = 4;
constexpr unsigned kDigitBits = 11;
constexpr unsigned kValues = 1U << kDigitBits;
constexpr std::size_t kSmallShare = 8;  // an eighth of the elements, or k, are few enough to be set aside
template <class T>
constexpr unsigned kDifferenceBits = 8 * sizeof(T) - 1;  // the sign is 0

template <class T>
using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;

// Differences as whole numbers in the same order: no difference is negative, and all that are NaN are alike and last.
template <class T>
__device__ Bits<T> difference_bits(const VectorView<T>& a, const VectorView<T>& b, std::size_t i) {
  const T difference = std::fabs(a[i] - b[i]);
  return difference != difference ? static_cast<Bits<T>>(-1) >> 1 : std::bit_cast<Bits<T>>(difference);
}

// The last key that is wanted, found digit by digit: first of the difference, then, among equal ones, of the index. What is
// below `shift` is not known yet.
template <class T>
struct Last {
  Bits<T> difference;
  std::uint32_t index;
  unsigned narrowed;      // 1 once all that may be wanted is among the candidates or kept
  std::uint64_t rest;     // how many of those that begin like this are wanted
  std::uint64_t several;  // how many begin like this
};

// Elements that begin like the last key: where few do, the later looks are at them alone.
template <class T>
struct Candidates {
  Bits<T>* differences;
  std::uint32_t* indices;
  std::uint64_t room;
};

// What is looked at: all elements, or the candidates.
template <class T>
struct Elements {
  VectorView<T> a;
  VectorView<T> b;
  Candidates<T> candidates;

  __device__ std::size_t size(const Last<T>& last) const { return last.narrowed != 0 ? last.several : a.size; }
  __device__ Bits<T> difference(const Last<T>& last, std::size_t i) const {
    return last.narrowed != 0 ? candidates.differences[i] : difference_bits(a, b, i);
  }
  __device__ std::uint32_t index(const Last<T>& last, std::size_t i) const {
    return last.narrowed != 0 ? candidates.indices[i] : static_cast<std::uint32_t>(i);
  }
};

struct Digit {
  bool of_index;
  unsigned shift;
  unsigned before;  // how many bits of the difference, or the index, are below the digits known so far
};

template <class Word>
__device__ Word upper(Word word, unsigned shift) {
  return shift < 8 * sizeof(Word) ? word >> shift : Word{0};
}

// Counts the values of a digit among the elements that begin like the last key.
template <class T>
__global__ void __launch_bounds__(kThreads)
    count(Elements<T> elements, Digit digit, const Last<T>* last, unsigned* counts) {
  __shared__ unsigned mine[kValues];
  for (unsigned i = threadIdx.x; i < kValues; i += kThreads) mine[i] = 0;
  __syncthreads();
  const Last<T> known = *last;
  const std::size_t size = elements.size(known);
  for (std::size_t i = std::size_t{blockIdx.x} * kThreads + threadIdx.x; i < size; i += std::size_t{gridDim.x} * kThreads) {
    const Bits<T> bits = elements.difference(known, i);
    if (digit.of_index) {
      const std::uint32_t index = elements.index(known, i);
      if (bits == known.difference && upper(index, digit.before) == upper(known.index, digit.before)) {
        atomicAdd(&mine[(index >> digit.shift) % kValues], 1U);
      }
    } else if (upper(bits, digit.before) == upper(known.difference, digit.before)) {
      atomicAdd(&mine[static_cast<unsigned>(bits >> digit.shift) % kValues], 1U);
    }
  }
  __syncthreads();
  for (unsigned i = threadIdx.x; i < kValues; i += kThreads) {
    if (mine[i] > 0) atomicAdd(&counts[i], mine[i]);
  }
}

// The value that the last key has there, by one block; the counts are 0 again afterwards.
template <class T>
__global__ void __launch_bounds__(kThreads) pick(Digit digit, Last<T>* last, unsigned* counts) {
  constexpr unsigned kPart = kValues / kThreads;
  __shared__ std::uint64_t sums[kThreads];
  __shared__ unsigned all[kValues];
  for (unsigned i = threadIdx.x; i < kValues; i += kThreads) {
    all[i] = counts[i];
    counts[i] = 0;
  }
  __syncthreads();
  std::uint64_t sum = 0;
  for (unsigned i = 0; i < kPart; ++i) sum += all[threadIdx.x * kPart + i];
  sums[threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  std::uint64_t rest = last->rest;
  unsigned part = 0;
  while (part + 1 < kThreads && sums[part] < rest) rest -= sums[part++];
  unsigned value = part * kPart;
  while (value + 1 < kValues && all[value] < rest) rest -= all[value++];
  last->rest = rest;
  if (last->narrowed == 0) last->several = all[value];
  if (digit.of_index) {
    last->index |= static_cast<std::uint32_t>(value) << digit.shift;
  } else {
    last->difference |= static_cast<Bits<T>>(value) << digit.shift;
  }
}

template <class T>
__global__ void begin(std::uint64_t k, Last<T>* last, unsigned* counts, unsigned* kept) {
  for (unsigned i = threadIdx.x; i < kValues; i += kThreads) counts[i] = 0;
  if (threadIdx.x != 0) return;
  *last = {0, 0, 0, k, 0};
  kept[0] = kept[1] = 0;
}

// kept: how many are kept, and how many are candidates.
template <class T>
struct Kept {
  unsigned* counts;
  Bits<T>* differences;
  std::uint32_t* indices;
};

// After the first digit: what is below it is kept, and what has it becomes a candidate, if there is room for them all.
template <class T>
__global__ void __launch_bounds__(kThreads) narrow(Elements<T> elements, unsigned shift, const Last<T>* last, Kept<T> kept) {
  __shared__ unsigned found, first;
  const Last<T> known = *last;
  if (known.several > elements.candidates.room) return;
  constexpr std::size_t kTile = std::size_t{kThreads} * kEach;
  for (std::size_t tile = blockIdx.x * kTile; tile < elements.a.size; tile += gridDim.x * kTile) {
    Bits<T> bits[kEach] = {};
    const auto at = [&](unsigned e) { return tile + e * kThreads + threadIdx.x; };
#pragma unroll
    for (unsigned e = 0; e < kEach; ++e) {
      bits[e] = at(e) < elements.a.size ? difference_bits(elements.a, elements.b, at(e)) : static_cast<Bits<T>>(-1);
    }
    append<kEach>(
        &kept.counts[0], found, first, [&](unsigned e) { return upper(bits[e], shift) < upper(known.difference, shift); },
        [&](unsigned e, std::size_t place) {
          kept.differences[place] = bits[e];
          kept.indices[place] = static_cast<std::uint32_t>(at(e));
        });
    append<kEach>(
        &kept.counts[1], found, first, [&](unsigned e) { return upper(bits[e], shift) == upper(known.difference, shift); },
        [&](unsigned e, std::size_t place) {
          elements.candidates.differences[place] = bits[e];
          elements.candidates.indices[place] = static_cast<std::uint32_t>(at(e));
        });
  }
}

template <class T>
__global__ void narrowed(std::uint64_t room, Last<T>* last) {
  if (threadIdx.x == 0) last->narrowed = last->several <= room ? 1 : 0;
}

// All keys up to the last one.
template <class T>
__global__ void __launch_bounds__(kThreads) keep(Elements<T> elements, const Last<T>* last, Kept<T> kept) {
  __shared__ unsigned found, first;
  const Last<T> known = *last;
  const std::size_t size = elements.size(known);
  constexpr std::size_t kTile = std::size_t{kThreads} * kEach;
  for (std::size_t tile = blockIdx.x * kTile; tile < size; tile += gridDim.x * kTile) {
    Bits<T> bits[kEach] = {};
    std::uint32_t indices[kEach] = {};
    const auto at = [&](unsigned e) { return tile + e * kThreads + threadIdx.x; };
#pragma unroll
    for (unsigned e = 0; e < kEach; ++e) {
      if (at(e) >= size) continue;
      bits[e] = elements.difference(known, at(e));
      indices[e] = elements.index(known, at(e));
    }
    append<kEach>(
        &kept.counts[0], found, first,
        [&](unsigned e) {
          return at(e) < size &&
                 (bits[e] < known.difference || (bits[e] == known.difference && indices[e] <= known.index));
        },
        [&](unsigned e, std::size_t place) {
          kept.differences[place] = bits[e];
          kept.indices[place] = indices[e];
        });
  }
}

__global__ void __launch_bounds__(kThreads) widen(const std::uint32_t* from, std::size_t count, std::int64_t* to) {
  const std::size_t i = std::size_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < count) to[i] = from[i];
}

}  // namespace

template <class T>
void queue_smallest_difference(const VectorView<T>& a, const VectorView<T>& b, std::size_t k, std::int64_t* indices,
                               Scratch& memory, cudaStream_t stream) {
  auto* const last = memory.take<Last<T>>(1);
  auto* const counts = memory.take<unsigned>(kValues);
  const std::size_t room = std::max(k, a.size / kSmallShare);
  const Elements<T> elements{a, b, {memory.take<Bits<T>>(room), memory.take<std::uint32_t>(room), room}};
  auto* const found = memory.take<unsigned>(2);
  Bits<T>* const differences[] = {memory.take<Bits<T>>(k), memory.take<Bits<T>>(k)};
  std::uint32_t* const places[] = {memory.take<std::uint32_t>(k), memory.take<std::uint32_t>(k)};
  Pairs<std::uint32_t, Bits<T>> by_index{{places[0], places[1]}, {differences[0], differences[1]}};
  Pairs<Bits<T>, std::uint32_t> by_difference{{differences[0], differences[1]}, {places[0], places[1]}};
  if (memory.only_counts()) {
    queue_sort(by_index, k, memory, stream);
    queue_sort(by_difference, k, memory, stream);
    return;
  }
  if (k == 0) return;

  const std::size_t most = kBlocksEach * multiprocessors();
  const auto blocks_for = [&](std::size_t each) {
    const std::size_t blocks = ceil_div(a.size, each);
    return dim3{static_cast<unsigned>(blocks < most ? blocks : most)};
  };
  const Kept<T> kept{found, differences[0], places[0]};
  const dim3 tiles = blocks_for(std::size_t{kThreads} * kEach);
  launch(begin<T>, {1}, kThreads, 0, stream, k, last, counts, found);
  for (const bool of_index : {false, true}) {
    unsigned before = of_index ? 32 : kDifferenceBits<T>;
    while (before > 0) {
      const unsigned shift = before > kDigitBits ? before - kDigitBits : 0;
      const Digit digit{of_index, shift, before};
      launch(count<T>, blocks_for(kThreads), kThreads, 0, stream, elements, digit, last, counts);
      launch(pick<T>, {1}, kThreads, 0, stream, digit, last, counts);
      if (!of_index && before == kDifferenceBits<T>) {
        launch(narrow<T>, tiles, kThreads, 0, stream, elements, shift, last, kept);
        launch(narrowed<T>, {1}, kWarp, 0, stream, room, last);
      }
      before = shift;
    }
  }
  launch(keep<T>, tiles, kThreads, 0, stream, elements, last, kept);
  queue_sort(by_index, k, memory, stream);
  by_difference = {{by_index.values[0], by_index.values[1]}, {by_index.keys[0], by_index.keys[1]}};
  queue_sort(by_difference, k, memory, stream);
  const auto blocks = static_cast<unsigned>(ceil_div<std::size_t>(k, kThreads));
  launch(widen, {blocks}, kThreads, 0, stream, by_difference.values[0], k, indices);
}

template void queue_smallest_difference(const VectorView<float>&, const VectorView<float>&, std::size_t, std::int64_t*,
                                        Scratch&, cudaStream_t);
template void queue_smallest_difference(const VectorView<double>&, const VectorView<double>&, std::size_t,
                                        std::int64_t*, Scratch&, cudaStream_t);

}  // namespace ssiqa::gpu
