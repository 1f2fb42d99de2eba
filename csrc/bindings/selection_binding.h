// The classes Selection32 and Selection64 of the Python module: a partial result of the selection, for either type.
#pragma once

#include <pybind11/pybind11.h>

namespace ssiqa {

void bind_selection(pybind11::module_& m);

}  // namespace ssiqa
