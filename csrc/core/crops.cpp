#include "crops.h"

namespace ssiqa {

Normalization::Normalization(const std::array<double, 3>& mean, const std::array<double, 3>& std) {
  for (std::size_t channel = 0; channel < 3; ++channel) {
    const auto shift = static_cast<float>(255 * mean[channel]);
    const auto scale = static_cast<float>(255 * std[channel]);
    for (std::size_t value = 0; value < table_.size(); ++value) {
      table_[value][channel] = (static_cast<float>(value) - shift) / scale;
    }
  }
}

void Normalization::crop(const Photo& photo, std::size_t top, std::size_t left, std::size_t side, bool mirrored,
                         float* out) const {
  for (std::size_t y = 0; y < side; ++y) {
    const std::uint8_t* const row = photo.data + static_cast<std::ptrdiff_t>(top + y) * photo.row_stride;
    for (std::size_t x = 0; x < side; ++x, out += 3) {
      const std::uint8_t* const pixel = row + 3 * (left + (mirrored ? side - 1 - x : x));
      for (std::size_t channel = 0; channel < 3; ++channel) out[channel] = table_[pixel[channel]][channel];
    }
  }
}

}  // namespace ssiqa
