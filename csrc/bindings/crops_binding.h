// Python's way to crops.
#pragma once

#include <pybind11/pybind11.h>

namespace ssiqa {

void bind_crops(pybind11::module_& m);

}  // namespace ssiqa
