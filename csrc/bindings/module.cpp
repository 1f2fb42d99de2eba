// The Python module ssiqa._core: checks what Python hands over, releases the GIL, calls the core.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <vector>

#include "array.h"
#include "band_binding.h"
#include "batches.h"
#include "cpu.h"
#include "crops_binding.h"
#include "heap.h"
#include "rbf.h"
#include "regression.h"
#include "selection_binding.h"
#include "threads.h"

namespace py = pybind11;

namespace ssiqa {
namespace {

using Access = Array::Access;

// Calls one(x, z, out, threads) for each batch of (b?, n, d) and (b?, m, d).
template <class One>
void matrices(const py::object& x_object, const py::object& y_object, const py::object& out_object, const One& one) {
  const Array x(x_object, "x");
  x.require_float();
  std::optional<Array> other;
  if (!y_object.is_none()) other.emplace(y_object, "y");
  const Array& z = other ? *other : x;
  const Array out(out_object, "out", Access::write);
  require_matrix(x, 3);
  z.require_type(x.type());
  out.require_type(x.type());
  const std::size_t axis = x.ndim() - 2;
  std::vector<std::size_t> shape = x.shape();
  if (z.ndim() != x.ndim()) throw py::value_error("x and y must have the same number of axes.");
  shape[axis] = z.shape(axis);
  z.require_shape(shape);
  shape[axis] = x.shape(axis);
  shape[axis + 1] = z.shape(axis);
  out.require_shape(shape);

  const std::size_t batches = axis == 0 ? 1 : x.shape(0);
  const std::size_t entries = x.shape(axis) * z.shape(axis);
  const double work = static_cast<double>(batches * entries) * static_cast<double>(x.shape(axis + 1) + 16);
  const std::size_t bytes = rbf_workspace(x.shape(axis), z.shape(axis), x.shape(axis + 1), 0);
  with_type(x, [&]<class T>(T) {
    for_each_batch(batches, work, bytes, [&](std::size_t b, std::size_t threads) {
      one(x.matrix<T>(b), z.matrix<T>(b), out.data<T>() + b * entries, threads);
    });
  });
}

void bind_squared_distances(const py::object& x, const py::object& y, const py::object& out) {
  matrices(x, y, out, [](const auto& left, const auto& right, auto* to, std::size_t threads) {
    squared_distances(left, right, to, threads);
  });
}

void bind_rbf_kernel(const py::object& x, const py::object& y, const py::object& out, double gamma) {
  matrices(x, y, out, [gamma](const auto& left, const auto& right, auto* to, std::size_t threads) {
    rbf_kernel(left, right, gamma, to, threads);
  });
}

void bind_rbf_matvec(const py::object& x_object, const py::object& z_object, const py::object& coef_object,
                     const py::object& out_object, const std::vector<double>& gammas, bool accumulate_double) {
  const Array x(x_object, "x");
  x.require_float();
  const Array z(z_object, "z");
  const Array coef(coef_object, "coef");
  const Array out(out_object, "out", Access::write);
  require_matrix(x, 3);
  const std::size_t axis = x.ndim() - 2;
  if (coef.ndim() != axis + 1 && coef.ndim() != axis + 2) throw py::value_error("coef has the wrong number of axes.");
  for (const Array* array : {&z, &coef, &out}) array->require_type(x.type());
  std::vector<std::size_t> shape = x.shape();
  shape[axis] = coef.shape(axis);
  z.require_shape(shape);
  shape = coef.shape();
  for (std::size_t i = 0; i <= axis; ++i) shape[i] = x.shape(i);
  out.require_shape(shape);
  if (axis == 1 && coef.shape(0) != x.shape(0)) throw py::value_error("coef must have as many batches as x.");
  const std::size_t batches = axis == 0 ? 1 : x.shape(0);
  if (gammas.size() != batches) throw py::value_error("Give one gamma for each batch.");

  const std::size_t targets = coef.ndim() == axis + 2 ? coef.shape(axis + 1) : 1;
  const std::size_t entries = x.shape(axis) * targets;
  const std::size_t bytes = rbf_workspace(x.shape(axis), z.shape(axis), x.shape(axis + 1), targets);
  const double work = 2.0 * static_cast<double>(batches * x.shape(axis) * z.shape(axis)) *
                      static_cast<double>(x.shape(axis + 1) + 16);
  with_type(x, [&]<class T>(T) {
    for_each_batch(batches, work, bytes, [&](std::size_t b, std::size_t threads) {
      rbf_matvec(x.matrix<T>(b), z.matrix<T>(b), coef.columns<T>(axis, b), gammas[b],
                 accumulate_double ? Accumulate::float64 : Accumulate::float32, out.data<T>() + b * entries, threads);
    });
  });
}

}  // namespace
}  // namespace ssiqa

PYBIND11_MODULE(_core, m) {
  using namespace ssiqa;
  m.doc() = "Native kernels of ssiqa; use ssiqa.kernels, which validates and allocates.";
  active_isa();  // so that a wrong setting is reported on import
  n_threads();

  m.def("isa", [] { return isa_name(active_isa()); });
  m.def("available_isas", [] {
    std::vector<const char*> names;
    for (const Isa isa : available_isas()) names.push_back(isa_name(isa));
    return names;
  });
  m.def("cpu_features", cpu_features);
  m.def("n_threads", n_threads);
  m.def("compiler", [] { return SSIQA_COMPILER; });
  m.def("squared_distances", bind_squared_distances, py::arg("x"), py::arg("y").none(true), py::arg("out"));
  m.def("rbf_kernel", bind_rbf_kernel, py::arg("x"), py::arg("y").none(true), py::arg("out"), py::arg("gamma"));
  m.def("rbf_matvec", bind_rbf_matvec, py::arg("x"), py::arg("z"), py::arg("coef"), py::arg("out"), py::arg("gammas"),
        py::arg("accumulate_double"));
  bind_regression(m);
  bind_selection(m);
  bind_band(m);
  bind_crops(m);
  m.def("keep_freed_memory", keep_freed_memory, py::call_guard<py::gil_scoped_release>());
  m.def("release_freed_memory", release_freed_memory, py::call_guard<py::gil_scoped_release>());
}
