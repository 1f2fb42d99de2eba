// The reduction to a band for Python.
#pragma once

#include <pybind11/pybind11.h>

namespace ssiqa {

void bind_band(pybind11::module_& m);

}  // namespace ssiqa
