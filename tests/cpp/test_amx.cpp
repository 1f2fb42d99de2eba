// The panels and products of the tile unit: on its model, or with SSIQA_TEST_TILE_UNIT on the unit itself against the model.
#define SSIQA_ISA amx_model

#include "amx_model.h"

#include "amx_impl.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "buffer.h"

namespace {

using ssiqa::Products;
using ssiqa::test::Matrix;

#ifdef SSIQA_TEST_TILE_UNIT
const Products<float>& product = ssiqa::amx::kFloat;
#else
const Products<float>& product = ssiqa::amx_model::kFloat;
#endif

constexpr std::size_t kRows = 32;  // of a panel, left or right

// Rows in panels over one feature block, with their norms.
class Packed {
 public:
  Packed(const Products<float>& by, const Matrix<float>& x, bool left)
      : panels_((x.rows + kRows - 1) / kRows),
        bytes_(kRows * by.feature_bytes * ((x.cols + by.feature_step - 1) / by.feature_step * by.feature_step)),
        data_(panels_ * bytes_),
        norms_(panels_ * kRows, -1.0F) {
    for (std::size_t p = 0; p < panels_; ++p) {
      const std::size_t first = p * kRows;
      (left ? by.pack_left : by.pack_right)(x.values.data() + first * x.cols, std::min(kRows, x.rows - first), x.cols,
                                            data_.data() + p * bytes_, norms_.data() + first, false);
    }
  }

  std::size_t panels() const { return panels_; }
  std::size_t bytes() const { return panels_ * bytes_; }
  const std::byte* data() const { return data_.data(); }
  const std::vector<float>& norms() const { return norms_; }

 private:
  std::size_t panels_;
  std::size_t bytes_;
  ssiqa::Buffer<std::byte> data_;
  std::vector<float> norms_;
};

std::vector<float> products(const Products<float>& by, const Matrix<float>& x, const Matrix<float>& z) {
  const Packed left(by, x, true);
  const Packed right(by, z, false);
  const std::size_t stride = right.panels() * kRows;
  std::vector<float> out(left.panels() * kRows * stride, -1.0F);
  by.dots(left.data(), left.panels(), right.data(), right.panels(), x.cols, out.data(), stride, false);
  std::vector<float> dots;
  for (std::size_t i = 0; i < x.rows; ++i) {
    for (std::size_t j = 0; j < z.rows; ++j) dots.push_back(out[i * stride + j]);
  }
  for (std::size_t i = 0; i < left.panels() * kRows; ++i) {
    for (std::size_t j = 0; j < stride; ++j) CHECK((i < x.rows && j < z.rows) || out[i * stride + j] == 0);
  }
  return dots;
}

float number(unsigned bits) {
  const auto word = static_cast<std::uint32_t>(bits) << 16U;
  float value;
  std::memcpy(&value, &word, sizeof value);
  return value;
}

// The nearest bfloat16, ties to even, by trying the numbers below and above.
float nearest(float x) {
  std::uint32_t word;
  std::memcpy(&word, &x, sizeof word);
  const float below = number(word >> 16U);
  const float above = number((word >> 16U) + 1);
  const double to_below = std::abs(static_cast<double>(x) - below);
  const double to_above = std::abs(static_cast<double>(above) - x);
  if (to_below == to_above) return (word >> 16U & 1U) == 0 ? below : above;
  return to_below < to_above ? below : above;
}

void panels_hold_both_parts() {
  const std::size_t features = 45;
  Matrix<float> x(20, features, 1);
  x.values[0] = number(0x3f80) + 0x1p-8F;  // ties: one to the even number below, one to that above
  x.values[1] = number(0x3f81) + 0x1p-8F;
  x.values[2] = -0.0F;
  const Packed left(product, x, true);
  const Packed right(product, x, false);
  CHECK(left.bytes() == kRows * 64 * 6);
  const auto at = [](const Packed& panel, std::size_t step, std::size_t group, std::size_t tile, std::size_t row,
                     std::size_t pair, std::size_t element) {
    std::uint16_t bits;
    std::memcpy(&bits, panel.data() + (((step * 2 + group) * 3 + tile) * 16 + row) * 64 + pair * 4 + element * 2, 2);
    return number(bits);
  };
  for (std::size_t row = 0; row < kRows; ++row) {
    for (std::size_t k = 0; k < 64; ++k) {
      const float value = row < x.rows && k < features ? x.values[row * features + k] : 0;
      const float high = nearest(value);
      const float low = nearest(value - high);
      CHECK(std::abs(value - high - low) <= 0x1p-16F * std::abs(value));
      const std::size_t step = k / 32;
      const std::size_t half = k % 32 / 16;
      const std::size_t pair = k % 16;
      const std::size_t group = row / 16;
      const std::size_t r = row % 16;
      CHECK(at(left, step, group, 0, r, pair, half) == high);
      CHECK(at(left, step, group, 1 + half, r, pair, 0) == high);
      CHECK(at(left, step, group, 1 + half, r, pair, 1) == low);
      CHECK(at(right, step, group, 0, pair, r, half) == high);
      CHECK(at(right, step, group, 1 + half, pair, r, 0) == low);
      CHECK(at(right, step, group, 1 + half, pair, r, 1) == high);
    }
  }
}

// The stated 3 * 2^-16 for each product. A sum of d features adds 2^-24 for each number that it is the sum of on its way:
// 17 products and sums within an instruction, and then one for each of the three of 32 features.
void products_are_accurate(std::size_t n, std::size_t m, std::size_t d, double scale) {
  Matrix<float> x(n, d, 1);
  Matrix<float> z(m, d, 2, 0.5);
  for (float& value : x.values) value *= static_cast<float>(scale);
  const std::vector<float> dots = products(product, x, z);
  const double rounding = 0x1p-24 * (20 + 3.0 * static_cast<double>(d / 32 + 1));
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < m; ++j) {
      double exact = 0;
      double size = 0;
      for (std::size_t k = 0; k < d; ++k) {
        const double term = static_cast<double>(x.values[i * d + k]) * static_cast<double>(z.values[j * d + k]);
        exact += term;
        size += std::abs(term);
      }
      CHECK(std::abs(dots[i * m + j] - exact) <= (3 * 0x1p-16 + rounding) * size);
    }
  }
}

// Norms are products: a row's with itself has the same bits wherever the row is. And no side is preferred.
void identical_and_exchanged_rows(std::size_t n, std::size_t d) {
  const Matrix<float> x(n, d, 3, 0.25);
  Matrix<float> z = x;
  for (std::size_t i = 0; i < n; ++i) {
    std::copy_n(x.values.data() + i * d, d, z.values.data() + (n - 1 - i) * d);
  }
  const std::vector<float> norms = Packed(product, x, true).norms();
  const std::vector<float> right_norms = Packed(product, z, false).norms();
  const std::vector<float> dots = products(product, x, z);
  const std::vector<float> exchanged = products(product, z, x);
  for (std::size_t i = 0; i < n; ++i) {
    CHECK(dots[i * n + n - 1 - i] == norms[i]);
    CHECK(right_norms[n - 1 - i] == norms[i]);
    for (std::size_t j = 0; j < n; ++j) CHECK(dots[i * n + j] == exchanged[j * n + i]);
  }
}

// Blocks of features one after another make the same sums as all of them at once.
void feature_blocks_add_up() {
  const std::size_t d = 100;
  const std::size_t cut = 64;
  const Matrix<float> x(kRows, d, 4);
  Matrix<float> first(kRows, cut, 0);
  Matrix<float> second(kRows, d - cut, 0);
  for (std::size_t i = 0; i < kRows; ++i) {
    std::copy_n(&x.values[i * d], cut, &first.values[i * cut]);
    std::copy_n(&x.values[i * d + cut], d - cut, &second.values[i * (d - cut)]);
  }
  std::vector<float> sums = products(product, first, first);
  const Packed left(product, second, true);
  const Packed right(product, second, false);
  product.dots(left.data(), 1, right.data(), 1, d - cut, sums.data(), kRows, true);
  CHECK(sums == products(product, x, x));

  std::vector<float> norms = Packed(product, first, true).norms();
  ssiqa::Buffer<std::byte> panel(left.bytes());
  product.pack_left(second.values.data(), kRows, d - cut, panel.data(), norms.data(), true);
  CHECK(norms == Packed(product, x, true).norms());
}

// What cannot be used must show in the norm, whatever the bits of a NaN are.
void bad_numbers_show() {
  for (const unsigned bits : {0x7f800000U, 0xff800000U, 0x7fc00000U, 0x7fffffffU, 0xffffffffU, 0x7f800001U, 0x7f7fffffU}) {
    Matrix<float> x(3, 40, 5);
    std::memcpy(&x.values[40 + 33], &bits, sizeof bits);
    for (const bool left : {true, false}) {
      const std::vector<float> norms = Packed(product, x, left).norms();
      CHECK(!(norms[1] <= std::numeric_limits<float>::max() / 4));
      CHECK(norms[0] > 0 && norms[2] > 0 && norms[0] < 1000 && norms[2] < 1000);
    }
  }
}

// Bit by bit, over all sizes of numbers: the sums, the norms, and what is flushed to zero.
void agrees_with_the_model() {
  const Products<float>& model = ssiqa::amx_model::kFloat;
  for (const double scale : {1.0, 1e-19, 1e-30, 1e15}) {
    Matrix<float> x(70, 77, 6);
    for (float& value : x.values) value *= static_cast<float>(scale);
    const Matrix<float> z(33, 77, 7);
    CHECK(products(product, x, z) == products(model, x, z));
    CHECK(Packed(product, x, true).norms() == Packed(model, x, true).norms());
    CHECK(Packed(product, x, false).norms() == Packed(model, x, false).norms());
  }
}

}  // namespace

int main() {
  return ssiqa::test::run([] {
    panels_hold_both_parts();
    for (const std::size_t d : {0U, 1U, 31U, 32U, 33U, 192U}) {
      products_are_accurate(1, 1, d, 1);
      products_are_accurate(33, 65, d, 1e4);
      identical_and_exchanged_rows(45, d);
    }
    products_are_accurate(96, 32, 100, 1e-9);
    feature_blocks_add_up();
    bad_numbers_show();
    agrees_with_the_model();
    CHECK(!ssiqa::tile_model().configured);
  });
}
