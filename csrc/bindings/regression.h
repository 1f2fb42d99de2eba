// Kernel ridge regression for Python.
#pragma once

#include <pybind11/pybind11.h>

namespace ssiqa {

void bind_regression(pybind11::module_& m);

}  // namespace ssiqa
