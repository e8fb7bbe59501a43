#pragma once
#include <pybind11/pybind11.h>

namespace likewise::bindings {

void register_dispatch(pybind11::module_& m);  // CPU levels, threads, build facts

}  // namespace likewise::bindings
