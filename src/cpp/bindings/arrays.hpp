// The one check of array arguments. A binding takes py::object and asks for a canonical array: an ndarray of exactly
// that dtype and rank, native byte order, aligned, C-contiguous. Anything else is refused, never converted: what users
// may pass, the Python layer has turned into this form before. (pybind11's noconvert() alone lets misaligned, 0-d and
// masked arrays through.)
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "bindings/native_call.hpp"
#include "likewise/span.hpp"

namespace likewise::bindings {

/// What the Python layer should not have let through (Python: likewise.errors.InternalError).
class boundary_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// "float32[3, 4]", or the type's name.
std::string describe(const pybind11::handle& value);

/// A str of UTF-8. Throws corrupt_error naming the array where it is none: only a full check looks at the text.
pybind11::str decode(std::string_view text, const std::string& array);

/// Keeps Python objects alive from any thread.
std::shared_ptr<const void> keep_alive(pybind11::object object);

/// The array behind `value`, if it is canonical with this dtype and rank; boundary_error naming the argument otherwise.
pybind11::array check_array(const pybind11::handle& value, const char* argument, const pybind11::dtype& dtype, int rank,
                            bool writeable);

template <class T>
struct Array {
  pybind11::array owner;
  T* data;
  std::size_t size;  // elements
  std::size_t shape(int axis) const { return static_cast<std::size_t>(owner.shape(axis)); }
  operator span<const T>() const { return {data, size}; }
};

template <class T>
Array<const T> input(const pybind11::handle& value, const char* argument, int rank = 1) {
  pybind11::array a = check_array(value, argument, pybind11::dtype::of<T>(), rank, false);
  return {a, static_cast<const T*>(a.data()), static_cast<std::size_t>(a.size())};
}
template <class T>
Array<T> output(const pybind11::handle& value, const char* argument, int rank = 1) {
  pybind11::array a = check_array(value, argument, pybind11::dtype::of<T>(), rank, true);
  return {a, static_cast<T*>(a.mutable_data()), static_cast<std::size_t>(a.size())};
}

/// Calls use(A{}) or use(B{}), as the dtype of the array is; `argument` is blamed for any other.
template <class A, class B, class Use>
auto with_dtype(const pybind11::object& value, const char* argument, const Use& use) {
  namespace py = pybind11;
  if (!py::isinstance<py::array>(value))
    throw boundary_error(std::string(argument) + ": expected a numpy array, got " + describe(value));
  const py::dtype dtype = py::reinterpret_borrow<py::array>(value).dtype();
  if (dtype.equal(py::dtype::of<A>())) return use(A{});
  if (dtype.equal(py::dtype::of<B>())) return use(B{});
  const auto name = [](const py::dtype& wanted) { return std::string(py::str(static_cast<py::object>(wanted))); };
  throw boundary_error(std::string(argument) + ": expected dtype " + name(py::dtype::of<A>()) + " or " +
                       name(py::dtype::of<B>()) + ", got " + describe(value));
}

}  // namespace likewise::bindings
