// The Python module ssiqa._core: checks what Python hands over, releases the GIL, calls the core.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <vector>

#include "array.h"
#include "cpu.h"
#include "lapack.h"
#include "rbf.h"
#include "selection_binding.h"
#include "threads.h"

namespace py = pybind11;

namespace ssiqa {
namespace {

using Access = Array::Access;

// Calls work(float{}) or work(double{}) without the GIL; the array has been found to hold one of them.
template <class Work>
void with_type(const Array& array, const Work& work) {
  const py::gil_scoped_release release;
  if (array.type() == Type::float32) {
    work(float{});
  } else {
    work(double{});
  }
}

void require_matrix(const Array& array, std::size_t most_axes) {
  if (array.ndim() < 2 || array.ndim() > most_axes) throw py::value_error("An array has the wrong number of axes.");
}

// Calls one(x, z, out, threads) for each batch of (b?, n, d) and (b?, m, d). Many batches are spread over the threads
// whole; few share them all.
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
  with_type(x, [&]<class T>(T) {
    const bool spread = batches >= n_threads();
    const double work = static_cast<double>(batches * entries) * static_cast<double>(x.shape(axis + 1) + 16);
    parallel_for(batches, work, spread ? n_threads() : 1, [&](std::size_t b) {
      one(x.matrix<T>(b), z.matrix<T>(b), out.data<T>() + b * entries, spread && batches > 1 ? 1 : n_threads());
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
                     const py::object& out_object, double gamma, bool accumulate_double) {
  const Array x(x_object, "x");
  x.require_float();
  const Array z(z_object, "z");
  const Array coef(coef_object, "coef");
  const Array out(out_object, "out", Access::write);
  require_matrix(x, 2);
  if (coef.ndim() != 1 && coef.ndim() != 2) throw py::value_error("coef must have one or two axes.");
  for (const Array* array : {&z, &coef, &out}) array->require_type(x.type());
  z.require_shape({coef.shape(0), x.shape(1)});
  std::vector<std::size_t> shape = coef.shape();
  shape[0] = x.shape(0);
  out.require_shape(shape);
  with_type(x, [&]<class T>(T) {
    rbf_matvec(x.matrix<T>(), z.matrix<T>(), coef.columns<T>(), gamma,
               accumulate_double ? Accumulate::float64 : Accumulate::float32, out.data<T>(), n_threads());
  });
}

void bind_krr_fit(const py::object& x_object, const py::object& y_object, const py::object& out_object, double gamma,
                  double alpha, const Lapack& lapack) {
  const Array x(x_object, "x");
  x.require_float();
  const Array y(y_object, "y");
  const Array out(out_object, "out", Access::write);
  require_matrix(x, 2);
  if (y.ndim() != 1 && y.ndim() != 2) throw py::value_error("y must have one or two axes.");
  for (const Array* array : {&y, &out}) array->require_type(x.type());
  std::vector<std::size_t> shape = y.shape();
  shape[0] = x.shape(0);
  y.require_shape(shape);
  out.require_shape(shape);
  with_type(x, [&]<class T>(T) {
    krr_fit(x.matrix<T>(), y.columns<T>(), gamma, alpha, lapack, out.data<T>(), n_threads());
  });
}

void translate(std::exception_ptr pointer) {
  try {
    if (pointer) std::rethrow_exception(pointer);
  } catch (const IllConditioned& error) {
    const py::object type = py::module_::import("ssiqa.errors").attr("IllConditionedError");
    PyErr_SetObject(type.ptr(), type(error.what(), error.pivot()).ptr());
  }
}

}  // namespace
}  // namespace ssiqa

PYBIND11_MODULE(_core, m) {
  using namespace ssiqa;
  m.doc() = "Native kernels of ssiqa; use ssiqa.kernels, which validates and allocates.";
  active_isa();  // so that a wrong setting is reported on import
  n_threads();
  const Lapack lapack = scipy_lapack();
  py::register_local_exception_translator(translate);

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
  m.def("rbf_matvec", bind_rbf_matvec, py::arg("x"), py::arg("z"), py::arg("coef"), py::arg("out"), py::arg("gamma"),
        py::arg("accumulate_double"));
  m.def(
      "krr_fit",
      [lapack](const py::object& x, const py::object& y, const py::object& out, double gamma, double alpha) {
        bind_krr_fit(x, y, out, gamma, alpha, lapack);
      },
      py::arg("x"), py::arg("y"), py::arg("out"), py::arg("gamma"), py::arg("alpha"));
  bind_selection(m);
}
