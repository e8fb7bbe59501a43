#include "bindings/arrays.hpp"

#include "bindings/bindings.hpp"
#include "likewise/error.hpp"

namespace py = pybind11;

namespace likewise::bindings {

py::str decode(std::string_view text, const std::string& array) {
  PyObject* decoded = PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr);
  if (decoded == nullptr) {
    if (PyErr_ExceptionMatches(PyExc_UnicodeDecodeError) == 0) throw py::error_already_set();
    PyErr_Clear();
    throw corrupt_error(array, "expected UTF-8");
  }
  return py::reinterpret_steal<py::str>(decoded);
}

std::string describe(const py::handle& value) {
  if (!py::isinstance<py::array>(value)) return std::string(Py_TYPE(value.ptr())->tp_name);
  const auto a = py::reinterpret_borrow<py::array>(value);
  std::string text = py::str(static_cast<py::object>(a.dtype()));
  text += '[';
  for (py::ssize_t i = 0; i < a.ndim(); ++i) text += (i > 0 ? ", " : "") + std::to_string(a.shape(i));
  return text + ']';
}

std::shared_ptr<const void> keep_alive(py::object object) {
  return {new py::object(std::move(object)), [](const void* p) {
            const py::gil_scoped_acquire gil;
            delete static_cast<const py::object*>(p);
          }};
}

py::array check_array(const py::handle& value, const char* argument, const py::dtype& dtype, int rank, bool writeable) {
  const auto refuse = [&](const std::string& expected) -> boundary_error {
    return boundary_error(std::string(argument) + ": expected " + expected + ", got " + describe(value));
  };
  // Of a subclass the base array is taken: what a mask means is settled in the Python layer.
  if (!py::isinstance<py::array>(value)) throw refuse("a numpy array");
  auto a = py::reinterpret_borrow<py::array>(value);
  if (!a.dtype().equal(dtype)) throw refuse("dtype " + std::string(py::str(static_cast<py::object>(dtype))));
  if (a.ndim() != rank) throw refuse("rank " + std::to_string(rank));
  const bool aligned = reinterpret_cast<std::uintptr_t>(a.data()) % static_cast<std::size_t>(dtype.alignment()) == 0;
  if (!(a.flags() & py::array::c_style) || !aligned) throw refuse("an aligned, C-contiguous array");
  if (writeable && !a.writeable()) throw refuse("a writeable array");
  return a;
}

}  // namespace likewise::bindings
