// LAPACK through the function pointers that SciPy publishes, so that this module links no BLAS of its own.
#pragma once

#include <pybind11/pybind11.h>

#include <stdexcept>
#include <string>

#include "krr.h"

namespace ssiqa {

template <class Function>
Function scipy_function(const pybind11::dict& table, const char* name, int int_arguments) {
  PyObject* const capsule = PyDict_GetItemString(table.ptr(), name);
  if (capsule == nullptr) throw std::runtime_error(std::string("scipy.linalg.cython_lapack has no ") + name + ".");
  const char* const signature = PyCapsule_GetName(capsule);
  // The capsule's name is the C signature: it tells a SciPy whose LAPACK counts in 64 bits from the usual one.
  std::size_t found = 0;
  const std::string text = signature == nullptr ? "" : signature;
  for (std::size_t at = text.find("int *"); at != std::string::npos; at = text.find("int *", at + 1)) ++found;
  if (found != static_cast<std::size_t>(int_arguments)) {
    throw std::runtime_error(std::string("SciPy's ") + name + " has the unexpected signature '" + text +
                             "'; install a SciPy with 32-bit LAPACK integers.");
  }
  return reinterpret_cast<Function>(PyCapsule_GetPointer(capsule, signature));
}

inline Lapack scipy_lapack() {
  const pybind11::dict table = pybind11::module_::import("scipy.linalg.cython_lapack").attr("__pyx_capi__");
  return {scipy_function<Lapack::Potrf>(table, "dpotrf", 3), scipy_function<Lapack::Potrs>(table, "dpotrs", 5)};
}

}  // namespace ssiqa
