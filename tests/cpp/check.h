// The little that these tests need of a framework.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <random>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "cpu.h"
#include "kernels.h"
#include "view.h"

#define CHECK(condition)                                                            \
  do {                                                                              \
    if (!(condition)) {                                                             \
      std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                                 \
    }                                                                               \
  } while (false)

namespace ssiqa::test {

inline constexpr int kSkipped = 77;

// Runs `body` unless SSIQA_CPU_ISA names what this processor lacks.
template <class Body>
int run(const Body& body) {
  const char* const wanted = std::getenv("SSIQA_CPU_ISA");
  bool available = wanted == nullptr;
  for (const Isa isa : available_isas()) available = available || std::string_view(wanted) == isa_name(isa);
  if (!available) return kSkipped;
  body();
  return 0;
}

template <class Error, class Body>
void check_throws(const Body& body) {
  bool thrown = false;
  try {
    body();
  } catch (const Error&) {
    thrown = true;
  }
  CHECK(thrown);
}

// What the product of two rows may be off by, relative to the product of their lengths, beside rounding: the tile unit
// splits floats into parts.
template <class T>
double product_error() {
  return products<T>().dots == kernels<T>().dots ? 0 : 3 * 0x1p-16;
}

template <class T>
struct Matrix {
  std::size_t rows;
  std::size_t cols;
  std::vector<T> values;

  Matrix(std::size_t n, std::size_t d, unsigned seed, double offset = 0) : rows(n), cols(d), values(n * d) {
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal(offset, 1);
    for (T& value : values) value = static_cast<T>(normal(random));
  }

  MatrixView<T> view() const { return {values.data(), rows, cols, static_cast<std::ptrdiff_t>(cols), 1}; }
  VectorView<T> flat() const { return {values.data(), values.size(), 1}; }
};

}  // namespace ssiqa::test
