#include "core/dispatch.hpp"

#include <pybind11/stl.h>

#include "bindings/bindings.hpp"
#include "core/thread_pool.hpp"
#include "likewise/error.hpp"

namespace py = pybind11;

namespace likewise::bindings {

void register_dispatch(py::module_& m) {
  auto sub = m.def_submodule("dispatch", "CPU levels, threads and how the module was built.");
  // Asked for first by the package: an exception out of the module's own initialisation would always be an ImportError.
  sub.def(
      "level",
      [] {
        try {
          return kernel_table().level;
        } catch (const value_error&) {
          throw;
        } catch (const error& e) {
          throw py::import_error(e.what());
        }
      },
      "The CPU level whose kernels run. ValueError if LIKEWISE_CPU_LEVEL names none, ImportError if the CPU has none.");
  sub.def(
      "levels",
      [] {
        const LevelReport report = level_report();
        py::dict d;
        d["known"] = report.known;
        d["available"] = report.available;
        d["requested"] = report.requested.empty() ? py::object(py::none()) : py::object(py::str(report.requested));
        d["capped"] = report.capped;
        return d;
      },
      "Known and available levels, and what LIKEWISE_CPU_LEVEL asked for.");
  sub.def("available_threads", [] { return available_threads(); },
          "CPUs that this process may use, capped by LIKEWISE_NUM_THREADS.");
  sub.def(
      "build",
      [] {
        py::dict d;
        d["compiler"] = LIKEWISE_COMPILER;
        d["flags"] = LIKEWISE_CXX_FLAGS;
        d["sanitize"] = LIKEWISE_SANITIZERS;
        d["commit"] = LIKEWISE_COMMIT;
        d["pybind11"] = PYBIND11_TOSTRING(PYBIND11_VERSION_MAJOR) "." PYBIND11_TOSTRING(
            PYBIND11_VERSION_MINOR) "." PYBIND11_TOSTRING(PYBIND11_VERSION_MICRO);
        return d;
      },
      "Compiler, flags and versions of this build.");
}

}  // namespace likewise::bindings
