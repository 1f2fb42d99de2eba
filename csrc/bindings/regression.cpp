#include "regression.h"

#include <pybind11/stl.h>

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "array.h"
#include "batches.h"
#include "krr.h"
#include "posterior.h"

namespace py = pybind11;

namespace ssiqa {
namespace {

using Access = Array::Access;

void krr_fit_of(const py::object& x_object, const py::object& y_object, const py::object& out_object,
                const std::vector<double>& gammas, const std::vector<double>& alphas) {
  const Array x(x_object, "x");
  x.require_float();
  const Array y(y_object, "y");
  const Array out(out_object, "out", Access::write);
  require_matrix(x, 3);
  const std::size_t axis = x.ndim() - 2;
  if (y.ndim() != axis + 1 && y.ndim() != axis + 2) throw py::value_error("y has the wrong number of axes.");
  for (const Array* array : {&y, &out}) array->require_type(x.type());
  std::vector<std::size_t> shape = y.shape();
  for (std::size_t i = 0; i <= axis; ++i) shape[i] = x.shape(i);
  y.require_shape(shape);
  out.require_shape(shape);
  const std::size_t batches = axis == 0 ? 1 : x.shape(0);
  if (gammas.size() != batches || alphas.size() != batches) throw py::value_error("Give one gamma and alpha a batch.");

  const std::size_t rows = x.shape(axis);
  const std::size_t targets = y.ndim() == axis + 2 ? y.shape(axis + 1) : 1;
  const std::size_t entries = rows * targets;
  const std::size_t bytes = krr_workspace(rows, x.shape(axis + 1), targets);
  const double n = static_cast<double>(rows);
  const double work = static_cast<double>(batches) * n * n * (n + static_cast<double>(x.shape(axis + 1)));
  std::vector<std::optional<IllConditioned>> failures(batches);  // the first is reported, whoever is done first
  with_type(x, [&]<class T>(T) {
    for_each_batch(batches, work, bytes, [&](std::size_t b, std::size_t threads) {
      try {
        krr_fit(x.matrix<T>(b), y.columns<T>(axis, b), gammas[b], alphas[b], out.data<T>() + b * entries, threads);
      } catch (const IllConditioned& error) {
        failures[b] = error;
      }
    });
  });
  for (std::size_t b = 0; b < batches; ++b) {
    if (!failures[b]) continue;
    if (axis == 0) throw *failures[b];
    throw IllConditioned("In batch " + std::to_string(b) + ": " + failures[b]->what(), failures[b]->pivot(),
                         failures[b]->condition());
  }
}

// A factor and the element type of the rows it was made of.
struct KrrFactor {
  Type type;
  std::unique_ptr<const Posterior> posterior;
};

KrrFactor krr_factor_of(const py::object& x_object, double gamma, double alpha) {
  const Array x(x_object, "x");
  x.require_float();
  require_matrix(x, 2);
  KrrFactor factor{x.type(), nullptr};
  with_type(x, [&]<class T>(T) {
    factor.posterior = std::make_unique<const Posterior>(x.matrix<T>(), gamma, alpha, n_threads());
  });
  return factor;
}

void solve_with(const KrrFactor& factor, const py::object& y_object, const py::object& out_object) {
  const Array y(y_object, "y");
  const Array out(out_object, "out", Access::write);
  if (y.ndim() != 1 && y.ndim() != 2) throw py::value_error("y must have one or two axes.");
  for (const Array* array : {&y, &out}) array->require_type(factor.type);
  std::vector<std::size_t> shape = y.shape();
  shape[0] = factor.posterior->rows();
  y.require_shape(shape);
  out.require_shape(shape);
  with_type(y, [&]<class T>(T) { factor.posterior->solve(y.columns<T>(), out.data<T>(), n_threads()); });
}

void variance_with(const KrrFactor& factor, const py::object& z_object, const py::object& out_object) {
  const Array z(z_object, "z");
  const Array out(out_object, "out", Access::write);
  require_matrix(z, 2);
  for (const Array* array : {&z, &out}) array->require_type(factor.type);
  z.require_shape({z.shape(0), factor.posterior->features()});
  out.require_shape({z.shape(0)});
  with_type(z, [&]<class T>(T) { factor.posterior->variance(z.matrix<T>(), out.data<T>(), n_threads()); });
}

void translate(std::exception_ptr pointer) {
  try {
    if (pointer) std::rethrow_exception(pointer);
  } catch (const IllConditioned& error) {
    const py::object type = py::module_::import("ssiqa.errors").attr("IllConditionedError");
    PyErr_SetObject(type.ptr(), type(error.what(), error.pivot(), error.condition()).ptr());
  }
}

}  // namespace

void bind_regression(py::module_& m) {
  py::register_local_exception_translator(translate);
  m.def("krr_fit", krr_fit_of, py::arg("x"), py::arg("y"), py::arg("out"), py::arg("gammas"), py::arg("alphas"));
  py::class_<KrrFactor>(m, "KrrFactor")
      .def("solve", solve_with, py::arg("y"), py::arg("out"))
      .def("variance", variance_with, py::arg("z"), py::arg("out"))
      .def("condition", [](const KrrFactor& factor) {
        const py::gil_scoped_release release;
        return factor.posterior->condition(n_threads());
      });
  m.def("krr_factor", krr_factor_of, py::arg("x"), py::arg("gamma"), py::arg("alpha"));
}

}  // namespace ssiqa
