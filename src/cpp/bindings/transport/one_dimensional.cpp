#include "likewise/transport/one_dimensional.hpp"

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"

namespace py = pybind11;

namespace likewise::bindings {
namespace {

Array<const double> weights_of(const py::object& weights, const char* argument, const py::array& points) {
  if (weights.is_none()) return {py::array(), nullptr, 0};
  const Array<const double> given = input<double>(weights, argument, 2);
  if (given.owner.shape(0) != points.shape(0) || given.owner.shape(1) != points.shape(1))
    throw boundary_error(std::string(argument) + ": expected a weight for each point, got " + describe(weights));
  return given;
}

py::array_t<double> sorted_transport(const py::object& x, const py::object& y, const py::object& a,
                                     const py::object& b, double p, double scale) {
  return with_dtype<float, double>(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const Array<const T> left = input<T>(x, "x", 2), right = input<T>(y, "y", 2);
    const std::size_t n_rows = left.shape(0), n = left.shape(1), m = right.shape(1);
    if (right.shape(0) != n_rows || n == 0 || m == 0)
      throw boundary_error("y: expected " + std::to_string(n_rows) + " rows of at least 1 point, got " + describe(y));
    const Array<const double> a_of = weights_of(a, "a", left.owner), b_of = weights_of(b, "b", right.owner);
    py::array_t<double> out(static_cast<py::ssize_t>(n_rows));
    double* const values = out.mutable_data();
    const NativeCall call;
    for (std::size_t k = 0; k < n_rows; ++k) {
      poll_interrupt();
      values[k] = transport::sorted_transport<T>(
          {left.data + k * n, a_of.data == nullptr ? nullptr : a_of.data + k * n, n},
          {right.data + k * m, b_of.data == nullptr ? nullptr : b_of.data + k * m, m}, p, scale);
    }
    return out;
  });
}

}  // namespace

void register_transport_one_dimensional(py::module_& m) {
  m.def("sorted_transport", &sorted_transport, py::arg("x"), py::arg("y"), py::arg("a"), py::arg("b"), py::arg("p"),
        py::arg("scale"), "W_p^p of each row of sorted points, times scale^p; weights in the points' order, or None.");
}

}  // namespace likewise::bindings
