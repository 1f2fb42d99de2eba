#include "band_binding.h"

#include <string>
#include <vector>

#include "array.h"
#include "band.h"
#include "batches.h"

namespace py = pybind11;

namespace ssiqa {
namespace {

// An array of float64 that is read or written as it lies, so that it must be contiguous.
struct Plain : Array {
  Plain(const py::object& object, const char* name, Access access) : Array(object, name, access) {
    if (type() != Type::float64) throw py::type_error(std::string(name) + " must have dtype float64.");
  }
  Plain(const py::object& object, const char* name, Access access, const std::vector<std::size_t>& shape)
      : Plain(object, name, access) {
    require_shape(shape);
  }
};

using Access = Array::Access;

void reduce_kernel(const py::object& distances_object, double gamma, const py::object& diagonal_object,
                   const py::object& below_object, const py::object& vectors_object, const py::object& corners_object) {
  const Plain distances(distances_object, "distances", Access::contiguous);
  require_matrix(distances, 2);
  const std::size_t n = distances.shape(0);
  distances.require_shape({n, n});
  const std::size_t blocks = (n + kBandWidth - 1) / kBandWidth;
  if (blocks == 0) throw py::value_error("distances must have at least one row.");
  const Plain diagonal(diagonal_object, "diagonal", Access::write, {blocks, kBandWidth, kBandWidth});
  const Plain below(below_object, "below", Access::write, {blocks, kBandWidth, kBandWidth});
  const Plain vectors(vectors_object, "vectors", Access::write, {reflector_numbers(blocks)});
  const Plain corners(corners_object, "corners", Access::write, {blocks - 1, kBandWidth, kBandWidth});
  const py::gil_scoped_release release;
  Triangle<double> kernel = kernel_of_distances(distances.matrix<double>(), gamma, blocks * kBandWidth);
  reduce_to_band(kernel, diagonal.data<double>(), below.data<double>(),
                 {blocks, vectors.data<double>(), corners.data<double>()});
}

void diagonal_of_inverse(const py::object& vectors_object, const py::object& corners_object,
                         const py::object& inverse_object, const py::object& step_object, const py::object& out_object,
                         bool single, std::size_t threads) {
  const Plain inverse(inverse_object, "inverse", Access::contiguous);
  const Plain out(out_object, "out", Access::write);
  if (inverse.ndim() != 4 || out.ndim() != 2) throw py::value_error("inverse must have four axes, and out two.");
  const std::size_t alphas = inverse.shape(0);
  const std::size_t blocks = inverse.shape(1);
  const std::size_t rows = out.shape(1);
  if (blocks == 0 || rows > blocks * kBandWidth) throw py::value_error("out has more rows than the matrix.");
  if (threads == 0) throw py::value_error("threads must be at least 1.");
  inverse.require_shape({alphas, blocks, kBandWidth, kBandWidth});
  out.require_shape({alphas, rows});
  const Plain step(step_object, "step", Access::contiguous, inverse.shape());
  const Plain vectors(vectors_object, "vectors", Access::contiguous, {reflector_numbers(blocks)});
  const Plain corners(corners_object, "corners", Access::contiguous, {blocks - 1, kBandWidth, kBandWidth});
  const Reflectors<const double> q{blocks, vectors.data<double>(), corners.data<double>()};
  const BandFactors factors{alphas, inverse.data<double>(), step.data<double>()};
  const py::gil_scoped_release release;
  const auto compute = single ? inverse_diagonal<float> : inverse_diagonal<double>;
  compute(q, factors, rows, out.data<double>(), threads);
}

}  // namespace

void bind_band(py::module_& m) {
  m.attr("BAND_WIDTH") = kBandWidth;
  m.def("reduce_kernel", reduce_kernel, py::arg("distances"), py::arg("gamma"), py::arg("diagonal"), py::arg("below"),
        py::arg("vectors"), py::arg("corners"));
  m.def("inverse_diagonal", diagonal_of_inverse, py::arg("vectors"), py::arg("corners"), py::arg("inverse"),
        py::arg("step"), py::arg("out"), py::arg("single"), py::arg("threads"));
}

}  // namespace ssiqa
