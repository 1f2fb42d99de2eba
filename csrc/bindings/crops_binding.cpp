#include "crops_binding.h"

#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <vector>

#include "array.h"
#include "crops.h"

namespace py = pybind11;

namespace ssiqa {
namespace {

// One crop of one photo: where it begins, and whether it is mirrored.
struct Place {
  std::size_t top;
  std::size_t left;
  bool mirrored;
};

// out (n, side, side, 3) from one photo (height, width, 3), a crop for each place.
void bind_normalized_crops(const py::object& photo_object, const std::vector<Place>& places, const py::object& out_object,
                           const std::array<double, 3>& mean, const std::array<double, 3>& std) {
  const Array photo(photo_object, "photo", Array::Access::contiguous);
  photo.require_type(Type::uint8);
  const Array out(out_object, "out", Array::Access::write);
  out.require_type(Type::float32);
  if (photo.ndim() != 3 || photo.shape(2) != 3) throw py::value_error("photo must have the shape (height, width, 3).");
  if (out.ndim() != 4) throw py::value_error("out must have four axes.");
  const std::size_t side = out.shape(1);
  out.require_shape({places.size(), side, side, 3});
  const std::size_t height = photo.shape(0);
  const std::size_t width = photo.shape(1);
  for (const Place& place : places) {
    if (side > height || place.top > height - side || side > width || place.left > width - side) {
      throw py::value_error("A crop lies outside of the photo.");
    }
  }
  const py::gil_scoped_release release;
  const Normalization normalization(mean, std);
  const Photo view{photo.data<std::uint8_t>(), height, width, static_cast<std::ptrdiff_t>(3 * width)};
  float* to = out.data<float>();
  for (const Place& place : places) {
    normalization.crop(view, place.top, place.left, side, place.mirrored, to);
    to += side * side * 3;
  }
}

}  // namespace

void bind_crops(py::module_& m) {
  py::class_<Place>(m, "Place")
      .def(py::init<std::size_t, std::size_t, bool>(), py::arg("top"), py::arg("left"), py::arg("mirrored"));
  m.def("normalized_crops", bind_normalized_crops, py::arg("photo"), py::arg("places"), py::arg("out"), py::arg("mean"),
        py::arg("std"));
}

}  // namespace ssiqa
