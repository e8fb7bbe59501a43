#include "likewise/error.hpp"

#include <new>
#include <stdexcept>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "core/thread_pool.hpp"

namespace py = pybind11;

namespace likewise::bindings {

void register_errors(py::module_& m) {
  PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> corrupt, boundary;
  corrupt.call_once_and_store_result([&] { return py::exception<corrupt_error>(m, "CorruptError", PyExc_ValueError); });
  boundary.call_once_and_store_result([&] {
    // Users know it as likewise.errors.InternalError, and so does pickle.
    PyObject* type = PyErr_NewExceptionWithDoc(
        "likewise.errors.InternalError",
        "A defect of likewise itself: native code refused what the Python layer had let through. Please report it.",
        PyExc_RuntimeError, nullptr);
    if (type == nullptr) throw py::error_already_set();
    m.attr("InternalError") = py::reinterpret_borrow<py::object>(type);
    return py::reinterpret_steal<py::object>(type);
  });
  py::register_local_exception_translator([](std::exception_ptr thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const interrupted&) {
      if (PyErr_Occurred() == nullptr) PyErr_SetNone(PyExc_KeyboardInterrupt);  // else set by its signal's handler
    } catch (const corrupt_error& e) {
      py::object value = corrupt.get_stored()(py::str(e.array() + ": " + e.what()));
      value.attr("array") = e.array();
      value.attr("reason") = e.what();
      PyErr_SetObject(corrupt.get_stored().ptr(), value.ptr());
    } catch (const boundary_error& e) {
      const std::string text = std::string(e.what()) + " [a defect of likewise itself: please report it]";
      PyErr_SetString(boundary.get_stored().ptr(), text.c_str());
    } catch (const std::bad_alloc&) {  // whose own text is a name of C++
      PyErr_SetString(PyExc_MemoryError, "expected more memory than this process can have");
    } catch (const std::length_error&) {  // a container larger than the address space
      PyErr_SetString(PyExc_MemoryError, "expected more memory than this process can have");
    } catch (const type_error& e) {
      PyErr_SetString(PyExc_TypeError, e.what());
    } catch (const value_error& e) {
      PyErr_SetString(PyExc_ValueError, e.what());
    }
  });
}

}  // namespace likewise::bindings
