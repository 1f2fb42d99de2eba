#include "selection.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <utility>

#include "threads.h"

namespace ssiqa {
namespace {

constexpr std::size_t kStretch = 512;

// Runs visit(first, bits, places, found) over stretches of [begin, end): the bits of all their differences, and the places
// of those that do not exceed the bound. Returns the number of NaNs.
template <class T, class Visit>
std::size_t for_each_stretch(const VectorView<T>& a, const VectorView<T>& b, std::size_t begin, std::size_t end,
                             Bits<T> bound, const Visit& visit) {
  std::array<T, kStretch> left;
  std::array<T, kStretch> right;
  std::array<Bits<T>, kStretch> bits;
  std::array<std::uint16_t, kStretch> places;
  std::size_t nan_count = 0;
  const auto contiguous = [](const VectorView<T>& v, std::size_t first, std::size_t size, std::array<T, kStretch>& copy) {
    if (v.stride == 1) return v.data + first;
    for (std::size_t i = 0; i < size; ++i) copy[i] = v[first + i];
    return static_cast<const T*>(copy.data());
  };
  for (std::size_t first = begin; first < end; first += kStretch) {
    const std::size_t size = std::min(kStretch, end - first);
    const std::size_t found =
        kernels<T>().differences(contiguous(a, first, size, left), contiguous(b, first, size, right), size, bound,
                                 bits.data(), places.data(), &nan_count);
    visit(first, bits.data(), places.data(), found);
  }
  return nan_count;
}

// The bits of a sample of the differences: runs of neighbours, which share lines of memory, at places without a pattern.
template <class T>
std::vector<Bits<T>> sample(const VectorView<T>& a, const VectorView<T>& b) {
  constexpr std::size_t kRun = 16;
  constexpr std::size_t kShare = 16;
  constexpr std::size_t kFewest = 1024;
  constexpr std::size_t kMost = std::size_t{1} << 16U;
  const std::size_t wanted = std::min(a.size, std::clamp(a.size / kShare, kFewest, kMost));
  const std::size_t runs = (wanted + kRun - 1) / kRun;
  std::vector<Bits<T>> bits;
  bits.reserve(runs * kRun);
  std::uint64_t state = 1;
  for (std::size_t run = 0; run < runs; ++run) {
    state = state * 6364136223846793005U + 1442695040888963407U;  // Knuth's linear congruential generator
    const std::size_t begin = a.size * run / runs;
    const std::size_t room = a.size * (run + 1) / runs - begin;
    const std::size_t first = begin + (room > kRun ? (state >> 33U) % (room - kRun + 1) : 0);
    for_each_stretch(a, b, first, first + std::min(kRun, room), Bits<T>{0},
                     [&](std::size_t, const Bits<T>* stretch, const std::uint16_t*, std::size_t) {
                       bits.insert(bits.end(), stretch, stretch + std::min(kRun, room));
                     });
  }
  return bits;
}

// A bound that nearly always at least k differences do not exceed, and not many more.
template <class T>
Bits<T> guess_bound(std::vector<Bits<T>>& bits, std::size_t k, std::size_t size) {
  const double share = static_cast<double>(k) * static_cast<double>(bits.size()) / static_cast<double>(size);
  const double rank = bits.size() == size ? share : share + 4 * std::sqrt(share) + 4;
  if (rank > static_cast<double>(bits.size())) return kNanBits<T>;
  const auto place = bits.begin() + static_cast<std::ptrdiff_t>(std::max(std::ceil(rank), 1.0)) - 1;
  std::nth_element(bits.begin(), place, bits.end());
  return *place;
}

// The keys that do not exceed the bound, by index; of those that equal it only the first k of each part, because more can
// never be among the smallest.
template <class T>
Selection<T> collect(const VectorView<T>& a, const VectorView<T>& b, std::size_t k, Bits<T> bound, std::int64_t offset,
                     std::size_t threads) {
  constexpr double kWorkPerElement = 8;
  constexpr std::size_t kPart = std::size_t{1} << 17U;
  std::vector<Selection<T>> parts(std::clamp<std::size_t>(a.size / kPart, 1, threads));
  parallel_for(parts.size(), kWorkPerElement * static_cast<double>(a.size), threads, [&](std::size_t part) {
    Selection<T>& own = parts[part];
    std::size_t equal = 0;
    own.nan_count = for_each_stretch(
        a, b, a.size * part / parts.size(), a.size * (part + 1) / parts.size(), bound,
        [&](std::size_t first, const Bits<T>* bits, const std::uint16_t* places, std::size_t found) {
          for (std::size_t i = 0; i < found; ++i) {
            const std::size_t place = places[i];
            if (bits[place] == bound && equal++ >= k) continue;
            own.keys.push_back({bits[place], offset + static_cast<std::int64_t>(first + place)});
          }
        });
  });
  Selection<T> whole = std::move(parts[0]);
  for (std::size_t part = 1; part < parts.size(); ++part) {
    whole.keys.insert(whole.keys.end(), parts[part].keys.begin(), parts[part].keys.end());
    whole.nan_count += parts[part].nan_count;
  }
  whole.seen = a.size;
  return whole;
}

// Sorts keys that are in order of their indices: by the bits alone then, digit by digit, each pass keeping that order.
template <class T>
void sort_by_bits(std::vector<Key<T>>& keys) {
  constexpr unsigned kDigit = 11;
  constexpr std::size_t kFew = 1024;
  if (keys.size() < kFew) {
    std::ranges::sort(keys);
    return;
  }
  std::vector<Key<T>> other(keys.size());
  for (unsigned shift = 0; shift < 8 * sizeof(T); shift += kDigit) {
    const auto digit = [shift](const Key<T>& key) {
      return static_cast<std::size_t>(key.bits >> shift) & ((std::size_t{1} << kDigit) - 1);
    };
    std::array<std::size_t, std::size_t{1} << kDigit> starts{};
    for (const Key<T>& key : keys) ++starts[digit(key)];
    if (starts[digit(keys[0])] == keys.size()) continue;
    std::size_t start = 0;
    for (std::size_t& count : starts) start += std::exchange(count, start);
    for (const Key<T>& key : keys) other[starts[digit(key)]++] = key;
    keys.swap(other);
  }
}

}  // namespace

template <class T>
Selection<T> select(const VectorView<T>& a, const VectorView<T>& b, std::size_t k, std::int64_t offset,
                    std::size_t threads) {
  k = std::min(k, a.size);
  std::vector<Bits<T>> bits;
  if (k > 0 && k < a.size) bits = sample(a, b);
  Bits<T> bound = bits.empty() ? kNanBits<T> : guess_bound<T>(bits, k, a.size);
  Selection<T> selection = collect(a, b, k, bound, offset, threads);
  // A sample that misled is made good by looking at all.
  if (selection.keys.size() < k) selection = collect(a, b, k, kNanBits<T>, offset, threads);
  sort_by_bits(selection.keys);
  selection.keys.resize(k);
  return selection;
}

template <class T>
Selection<T> merge(const Selection<T>& left, const Selection<T>& right, std::size_t k) {
  Selection<T> both;
  both.keys.reserve(left.keys.size() + right.keys.size());
  std::ranges::merge(left.keys, right.keys, std::back_inserter(both.keys));
  both.keys.resize(std::min(k, both.keys.size()));
  both.nan_count = left.nan_count + right.nan_count;
  both.seen = left.seen + right.seen;
  return both;
}

template Selection<float> select(const VectorView<float>&, const VectorView<float>&, std::size_t, std::int64_t,
                                 std::size_t);
template Selection<double> select(const VectorView<double>&, const VectorView<double>&, std::size_t, std::int64_t,
                                  std::size_t);
template Selection<float> merge(const Selection<float>&, const Selection<float>&, std::size_t);
template Selection<double> merge(const Selection<double>&, const Selection<double>&, std::size_t);

}  // namespace ssiqa
