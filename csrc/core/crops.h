// Crops of photos as the float input of a network.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace ssiqa {

// RGB, pixel after pixel; a row's pixels lie one after another.
struct Photo {
  const std::uint8_t* data;
  std::size_t height;
  std::size_t width;
  std::ptrdiff_t row_stride;
};

// For each channel and each of the 256 values: (value - 255 mean) / (255 std), rounded as float arithmetic rounds it.
class Normalization {
 public:
  Normalization(const std::array<double, 3>& mean, const std::array<double, 3>& std);

  // out[y][x][channel] = the normalised pixel (top + y, left + x), or, mirrored, (top + y, left + side - 1 - x). The crop
  // lies inside the photo.
  void crop(const Photo& photo, std::size_t top, std::size_t left, std::size_t side, bool mirrored, float* out) const;

 private:
  std::array<std::array<float, 3>, 256> table_;
};

}  // namespace ssiqa
