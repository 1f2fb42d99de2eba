// A partial result of the selection: the smallest keys of a stretch of the vectors. Partial results merge in any order
// to the same whole, which serves chunks of a stream and shards on other machines.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels.h"
#include "view.h"

namespace ssiqa {

template <class T>
struct Key {
  Bits<T> bits;  // of |a - b|; those of a number that is not negative order like the number itself
  std::int64_t index;
  auto operator<=>(const Key&) const = default;
};

template <class T>
struct Selection {
  std::vector<Key<T>> keys;  // sorted
  std::size_t nan_count = 0;
  std::size_t seen = 0;
};

// The k smallest keys, or all if there are fewer; indices are counted from `offset`. NaN differences come after infinite
// ones, by index, and are counted whether they are selected or not.
template <class T>
Selection<T> select(const VectorView<T>& a, const VectorView<T>& b, std::size_t k, std::int64_t offset,
                    std::size_t threads);

// The k smallest of both.
template <class T>
Selection<T> merge(const Selection<T>& left, const Selection<T>& right, std::size_t k);

}  // namespace ssiqa
