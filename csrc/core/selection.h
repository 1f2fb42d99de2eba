// A partial result of the selection: the smallest keys of some elements. Partial results merge in any order to the same
// whole, which serves chunks of a stream and shards on other machines.
#pragma once

#include <cstddef>
#include <cstdint>

#include "key.h"
#include "view.h"

namespace ssiqa {

// Index: std::uint32_t for floats where all indices fit, because half the memory is half the time; else std::uint64_t.
template <class T, class Index>
class Selection {
 public:
  explicit Selection(std::size_t k) : k_(k) {}

  // Adds the differences of a and b. Their indices count up from `first` and are above those of all earlier calls.
  void add(const VectorView<T>& a, const VectorView<T>& b, std::size_t first, std::size_t threads);

  // Adds what the other one has seen, which must be other elements.
  void merge(Selection other);

  // The smallest keys in order: k, or as many as there are elements. NaN differences come after infinite ones.
  const Keys<T, Index>& keys();

  // Of all elements, kept or not.
  std::size_t nan_count() const { return nan_count_; }

 private:
  // Elements from this index on with bits above this cannot be among the k smallest.
  Bits<T> bound(std::size_t index) const;
  void settle();
  void add_sorted(Keys<T, Index> keys);

  std::size_t k_;
  Keys<T, Index> sorted_;   // at most k
  Keys<T, Index> pending_;  // by index and unsorted, because a merge of sorted keys costs k for each small chunk
  std::size_t nan_count_ = 0;
};

// indices: room for k, at most a.size. Ordered by (|a - b|, index), the difference computed in T.
template <class T>
void smallest_difference(const VectorView<T>& a, const VectorView<T>& b, std::size_t k, std::int64_t* indices,
                         std::size_t threads);

}  // namespace ssiqa
