#include "core/dispatch.hpp"

#include <pybind11/stl.h>

#include "bindings/bindings.hpp"
#include "likewise/error.hpp"

namespace py = pybind11;

namespace likewise::bindings {

void register_dispatch(py::module_& m) {
  try {
    kernel_table();
  } catch (const value_error& e) {
    throw py::value_error(e.what());
  } catch (const error& e) {
    throw py::import_error(e.what());
  }
  auto sub = m.def_submodule("dispatch");
  sub.def("level", [] { return kernel_table().level; });
  sub.def("levels", [] {
    const LevelReport report = level_report();
    py::dict d;
    d["known"] = report.known;
    d["available"] = report.available;
    d["requested"] = report.requested.empty() ? py::object(py::none()) : py::object(py::str(report.requested));
    d["capped"] = report.capped;
    return d;
  });
}

}  // namespace likewise::bindings
