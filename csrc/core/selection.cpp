#include "selection.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>
#include <vector>

#include "difference.h"
#include "sample.h"
#include "threads.h"

namespace ssiqa {
namespace {

constexpr std::size_t kStretch = 1024;

// Candidates among consecutive elements, by ascending index.
template <class T, class Index>
struct Candidates {
  Keys<T, Index> keys;
  std::size_t nan_count = 0;
};

// The bound once the k-th smallest key is known to have these bits: later elements must be below.
template <class T>
Bits<T> bound_below(Bits<T> kth) {
  return std::min<Bits<T>>(kth - 1, kInfinityBits<T>);  // so that a NaN never passes, whatever its bits
}

// Leaves the k smallest keys, by ascending index, and returns the new bound.
template <class T, class Index>
Bits<T> tighten(Keys<T, Index>& keys, std::size_t k) {
  std::vector<Bits<T>> bits(keys.size());
  std::ranges::transform(keys, bits.begin(), [](const Key<T, Index>& key) { return key.bits; });
  const auto place = bits.begin() + static_cast<std::ptrdiff_t>(k - 1);
  std::nth_element(bits.begin(), place, bits.end());
  const Bits<T> kth = *place;
  auto equals = std::count(bits.begin(), place + 1, kth);
  std::size_t kept = 0;
  for (const Key<T, Index>& key : keys) {
    if (key.bits < kth || (key.bits == kth && equals-- > 0)) keys[kept++] = key;
  }
  keys.resize(kept);
  return bound_below<T>(kth);
}

// The elements [begin, end) that may be among the k smallest: those within the bound, and once many more than k are
// found, those that the found ones leave room for.
template <class T, class Index>
Candidates<T, Index> collect(const VectorView<T>& a, const VectorView<T>& b, std::size_t begin, std::size_t end,
                             std::size_t first_index, Bits<T> bound, std::size_t k) {
  constexpr std::size_t kFewest = 4 * kStretch;
  const std::size_t most = std::max(2 * std::min(k, end - begin), kFewest);
  Candidates<T, Index> found;
  found.keys.reserve(std::min(end - begin, most + kStretch));
  std::array<T, kStretch> copy_of_a;
  std::array<T, kStretch> copy_of_b;
  std::array<std::uint16_t, kStretch> places;
  const auto contiguous = [](const VectorView<T>& v, std::size_t at, std::size_t size, T* copy) -> const T* {
    if (v.stride == 1) return v.data + at;
    for (std::size_t i = 0; i < size; ++i) copy[i] = v[at + i];
    return copy;
  };
  for (std::size_t at = begin; at < end; at += kStretch) {
    const std::size_t size = std::min(kStretch, end - at);
    const T* const p = contiguous(a, at, size, copy_of_a.data());
    const T* const q = contiguous(b, at, size, copy_of_b.data());
    const std::size_t passing = kernels<T>().within(p, q, size, bound, places.data(), &found.nan_count);
    for (std::size_t i = 0; i < passing; ++i) {
      const std::size_t place = places[i];
      found.keys.push_back({difference_bits(p[place], q[place]), static_cast<Index>(first_index + at + place)});
    }
    if (found.keys.size() > most) bound = tighten(found.keys, k);
  }
  return found;
}

// Over all elements, in stretches long enough for a thread each.
template <class T, class Index>
std::vector<Candidates<T, Index>> collect_all(const VectorView<T>& a, const VectorView<T>& b, std::size_t first,
                                              Bits<T> bound, std::size_t k, std::size_t threads) {
  constexpr double kWorkPerElement = 16;
  constexpr std::size_t kForOneThread = std::size_t{1} << 17U;
  std::vector<Candidates<T, Index>> parts(std::clamp<std::size_t>(a.size / kForOneThread, 1, threads));
  parallel_for(parts.size(), kWorkPerElement * static_cast<double>(a.size), threads, [&](std::size_t part) {
    parts[part] = collect<T, Index>(a, b, a.size * part / parts.size(), a.size * (part + 1) / parts.size(), first,
                                    bound, k);
  });
  return parts;
}

}  // namespace

template <class T, class Index>
Bits<T> Selection<T, Index>::bound(std::size_t index) const {
  if (k_ == 0) return -1;
  if (sorted_.size() < k_) return kNanBits<T>;
  const Key<T, Index>& last = sorted_.back();
  return last.index < index ? bound_below<T>(last.bits) : last.bits;
}

template <class T, class Index>
void Selection<T, Index>::add(const VectorView<T>& a, const VectorView<T>& b, std::size_t first, std::size_t threads) {
  const Bits<T> sure = bound(first);
  const bool guess = sure == kNanBits<T> && k_ < a.size / 2;
  auto parts = collect_all<T, Index>(a, b, first, guess ? guess_bound(a, b, k_) : sure, k_, threads);
  std::size_t found = 0;
  for (const auto& part : parts) found += part.keys.size();
  if (guess && found < k_) parts = collect_all<T, Index>(a, b, first, sure, k_, threads);
  for (auto& part : parts) {
    nan_count_ += part.nan_count;
    if (pending_.empty()) {
      pending_ = std::move(part.keys);
    } else {
      pending_.insert(pending_.end(), part.keys.begin(), part.keys.end());
    }
  }
  if (pending_.size() > k_) settle();
}

template <class T, class Index>
void Selection<T, Index>::merge(Selection other) {
  settle();
  other.settle();
  add_sorted(std::move(other.sorted_));
  nan_count_ += other.nan_count_;
}

template <class T, class Index>
const Keys<T, Index>& Selection<T, Index>::keys() {
  settle();
  return sorted_;
}

template <class T, class Index>
void Selection<T, Index>::settle() {
  sort_ascending_indices<T, Index>(pending_);
  add_sorted(std::exchange(pending_, {}));
}

template <class T, class Index>
void Selection<T, Index>::add_sorted(Keys<T, Index> keys) {
  if (sorted_.empty()) sorted_.swap(keys);
  if (!keys.empty()) {
    Keys<T, Index> both(sorted_.size() + keys.size());
    std::ranges::merge(sorted_, keys, both.begin());
    sorted_ = std::move(both);
  }
  if (sorted_.size() > k_) sorted_.resize(k_);
}

template class Selection<float, std::uint64_t>;
template class Selection<double, std::uint64_t>;

template <class T>
void smallest_difference(const VectorView<T>& a, const VectorView<T>& b, std::size_t k, std::int64_t* indices,
                         std::size_t threads) {
  const auto run = [&]<class Index>(Index) {
    Selection<T, Index> selection(k);
    selection.add(a, b, 0, threads);
    for (const Key<T, Index>& key : selection.keys()) *indices++ = static_cast<std::int64_t>(key.index);
  };
  if (sizeof(T) == sizeof(float) && a.size <= std::numeric_limits<std::uint32_t>::max()) {
    run(std::uint32_t{});
  } else {
    run(std::uint64_t{});
  }
}

template void smallest_difference(const VectorView<float>&, const VectorView<float>&, std::size_t, std::int64_t*,
                                  std::size_t);
template void smallest_difference(const VectorView<double>&, const VectorView<double>&, std::size_t, std::int64_t*,
                                  std::size_t);

}  // namespace ssiqa
