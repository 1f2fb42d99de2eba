// How the bindings run work without the GIL: for the element type at hand, and batch by batch.
#pragma once

#include <pybind11/pybind11.h>

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

// Calls one(batch, threads). Many batches are spread over the threads whole; few share them all. `work` is the cost of all
// of them in arithmetic operations.
template <class One>
void for_each_batch(std::size_t batches, double work, const One& one) {
  const bool spread = batches >= n_threads();
  parallel_for(batches, work, spread ? n_threads() : 1,
               [&](std::size_t b) { one(b, spread && batches > 1 ? 1 : n_threads()); });
}

inline void require_matrix(const Array& array, std::size_t most_axes) {
  if (array.ndim() < 2 || array.ndim() > most_axes) {
    throw pybind11::value_error("An array has the wrong number of axes.");
  }
}

}  // namespace ssiqa
