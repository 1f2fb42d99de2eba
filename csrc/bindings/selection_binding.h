// The selection for the Python module, and its partial results as the classes Selection32 and Selection64.
#pragma once

#include <pybind11/pybind11.h>

namespace ssiqa {

void bind_selection(pybind11::module_& m);

}  // namespace ssiqa
