// How the bindings run work without the GIL: for the element type at hand, and batch by batch.
#pragma once

#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstddef>

#include "array.h"
#include "threads.h"

namespace ssiqa {

// Calls work(float{}) or work(double{}) without the GIL; the array has been found to hold one of them.
template <class Work>
void with_type(const Array& array, const Work& work) {
  const pybind11::gil_scoped_release release;
  if (array.type() == Type::float32) {
    work(float{});
  } else {
    work(double{});
  }
}

// What batches that are computed at the same time take together, unless a single one takes more.
inline constexpr std::size_t kBatchBytes = std::size_t{64} << 20U;

// Calls one(batch, threads). Many batches run side by side, as far as kBatchBytes go, each on its part of the threads;
// few run one after another on all of them. `work` is the cost of all in arithmetic operations, `bytes` what one takes.
template <class One>
void for_each_batch(std::size_t batches, double work, std::size_t bytes, const One& one) {
  const std::size_t fitting = std::clamp<std::size_t>(kBatchBytes / std::max<std::size_t>(bytes, 1), 1, n_threads());
  const std::size_t at_once = batches >= n_threads() ? fitting : 1;
  parallel_for(batches, work, at_once, [&](std::size_t b) { one(b, n_threads() / at_once); });
}

inline void require_matrix(const Array& array, std::size_t most_axes) {
  if (array.ndim() < 2 || array.ndim() > most_axes) {
    throw pybind11::value_error("An array has the wrong number of axes.");
  }
}

}  // namespace ssiqa
