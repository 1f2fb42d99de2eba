#include "band_binding.h"

#include <vector>

#include "array.h"
#include "band.h"
#include "batches.h"

namespace py = pybind11;

namespace ssiqa {
namespace {

// An array of float64 that is read or written as it lies, so that it must be contiguous.
struct Plain : Array {
  Plain(const py::object& object, const char* name, const std::vector<std::size_t>& shape)
      : Array(object, name, Access::write) {
    require_type(Type::float64);
    require_shape(shape);
  }
};

void reduce_kernel(const py::object& distances_object, double gamma, const py::object& diagonal_object,
                   const py::object& below_object, const py::object& vectors_object, const py::object& corners_object) {
  const Array distances(distances_object, "distances");
  require_matrix(distances, 2);
  distances.require_type(Type::float64);
  const std::size_t n = distances.shape(0);
  distances.require_shape({n, n});
  const std::size_t blocks = (n + kBandWidth - 1) / kBandWidth;
  if (blocks == 0) throw py::value_error("distances must have at least one row.");
  const Plain diagonal(diagonal_object, "diagonal", {blocks, kBandWidth, kBandWidth});
  const Plain below(below_object, "below", {blocks, kBandWidth, kBandWidth});
  const Plain vectors(vectors_object, "vectors", {reflector_numbers(blocks)});
  const Plain corners(corners_object, "corners", {blocks - 1, kBandWidth, kBandWidth});
  const py::gil_scoped_release release;
  Triangle<double> kernel = kernel_of_distances(distances.matrix<double>(), gamma, blocks * kBandWidth);
  reduce_to_band(kernel, diagonal.data<double>(), below.data<double>(),
                 {blocks, vectors.data<double>(), corners.data<double>()});
}

void diagonal_of_inverse(const py::object& vectors_object, const py::object& corners_object,
                         const py::object& inverse_object, const py::object& step_object, const py::object& out_object,
                         bool single) {
  const Array inverse(inverse_object, "inverse");
  const Array out(out_object, "out", Array::Access::write);
  if (inverse.ndim() != 4 || out.ndim() != 2) throw py::value_error("inverse must have four axes, and out two.");
  const std::size_t blocks = inverse.shape(1);
  const std::vector<std::size_t> shape{inverse.shape(0), blocks, kBandWidth, kBandWidth};
  const std::size_t rows = out.shape(1);
  if (blocks == 0 || rows > blocks * kBandWidth) throw py::value_error("out has more rows than the matrix.");
  const Plain vectors(vectors_object, "vectors", {reflector_numbers(blocks)});
  const Plain corners(corners_object, "corners", {blocks - 1, kBandWidth, kBandWidth});
  const Plain inverses(inverse_object, "inverse", shape);
  const Plain steps(step_object, "step", shape);
  const Plain forms(out_object, "out", {shape[0], rows});
  const Reflectors<const double> q{blocks, vectors.data<double>(), corners.data<double>()};
  const BandFactors factors{shape[0], inverses.data<double>(), steps.data<double>()};
  const py::gil_scoped_release release;
  const auto compute = single ? inverse_diagonal<float> : inverse_diagonal<double>;
  compute(q, factors, rows, forms.data<double>());
}

}  // namespace

void bind_band(py::module_& m) {
  m.attr("BAND_WIDTH") = kBandWidth;
  m.def("reduce_kernel", reduce_kernel, py::arg("distances"), py::arg("gamma"), py::arg("diagonal"), py::arg("below"),
        py::arg("vectors"), py::arg("corners"));
  m.def("inverse_diagonal", diagonal_of_inverse, py::arg("vectors"), py::arg("corners"), py::arg("inverse"),
        py::arg("step"), py::arg("out"), py::arg("single"));
}

}  // namespace ssiqa
