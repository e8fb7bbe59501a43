#include "likewise/whitening.hpp"

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"

namespace py = pybind11;

namespace likewise::bindings {
namespace {

double centre(const py::object& x, const py::object& mean, const py::object& rest, const py::object& out) {
  return with_dtype<float, double>(x, "X", [&](auto zero) -> double {
    using T = decltype(zero);
    const Array<const T> rows = input<T>(x, "X", 2), first = input<T>(mean, "mean"), second = input<T>(rest, "rest");
    const Array<T> result = output<T>(out, "out", 2);
    const std::size_t n = rows.shape(0), d = rows.shape(1);
    for (const auto& [argument, array] : {std::pair{"mean", &first}, std::pair{"rest", &second}})
      if (array->size != d)
        throw boundary_error(std::string(argument) + ": expected " + std::to_string(d) + " values, got " +
                             std::to_string(array->size));
    if (result.shape(0) != n || result.shape(1) != d)
      throw boundary_error("out: expected the shape of X, got " + describe(out));
    const NativeCall call;
    return whitening::centre(rows.data, first.data, second.data, n, d, result.data);
  });
}

}  // namespace

void register_whitening(py::module_& m) {
  m.def("centre", &centre, py::arg("X"), py::arg("mean"), py::arg("rest"), py::arg("out"),
        "out = (X - mean) - rest, out apart from X. Returns the largest absolute value: infinity or NaN where one is "
        "not finite.");
}

}  // namespace likewise::bindings
