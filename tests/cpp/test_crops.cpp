// Crops against their definition, in photos whose memory ends where they do.
#include "crops.h"

#include <random>
#include <thread>
#include <vector>

#include "check.h"
#include "heap.h"

using namespace ssiqa;
using namespace ssiqa::test;

namespace {

constexpr std::array<double, 3> kMean{0.485, 0.456, 0.406};
constexpr std::array<double, 3> kStd{0.229, 0.224, 0.225};

void check_crop(std::size_t height, std::size_t width, std::size_t padding, std::size_t side, bool mirrored,
                std::mt19937& random) {
  const std::size_t stride = 3 * width + padding;
  std::vector<std::uint8_t> pixels((height - 1) * stride + 3 * width);
  for (std::uint8_t& value : pixels) value = static_cast<std::uint8_t>(random());
  const Photo photo{pixels.data(), height, width, static_cast<std::ptrdiff_t>(stride)};
  const std::size_t top = random() % (height - side + 1);
  const std::size_t left = random() % (width - side + 1);
  std::vector<float> out(side * side * 3, -1);
  Normalization(kMean, kStd).crop(photo, top, left, side, mirrored, out.data());
  for (std::size_t y = 0; y < side; ++y) {
    for (std::size_t x = 0; x < side; ++x) {
      for (std::size_t channel = 0; channel < 3; ++channel) {
        const std::size_t from = left + (mirrored ? side - 1 - x : x);
        const auto value = static_cast<float>(pixels[(top + y) * stride + 3 * from + channel]);
        const float expected =
            (value - static_cast<float>(255 * kMean[channel])) / static_cast<float>(255 * kStd[channel]);
        CHECK(out[3 * (y * side + x) + channel] == expected);
      }
    }
  }
}

// Also within each other, and from two threads.
void check_kept_memory() {
  const auto use = [] {
    keep_freed_memory();
    for (int round = 0; round < 20; ++round) {
      keep_freed_memory();
      std::vector<char> block(std::size_t{8} << 20U, static_cast<char>(round));
      CHECK(block.back() == static_cast<char>(round));
      release_freed_memory();
    }
    release_freed_memory();
  };
  std::thread other(use);
  use();
  other.join();
}

}  // namespace

int main() {
  return run([] {
    std::mt19937 random(0);
    for (const bool mirrored : {false, true}) {
      check_crop(1, 1, 0, 1, mirrored, random);
      check_crop(5, 7, 0, 5, mirrored, random);
      check_crop(9, 4, 2, 3, mirrored, random);
      check_crop(60, 80, 13, 48, mirrored, random);
    }
    check_kept_memory();
  });
}
