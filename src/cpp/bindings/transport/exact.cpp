#include "likewise/transport/exact.hpp"

#include <algorithm>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"

namespace py = pybind11;

namespace likewise::bindings {
namespace {

/// A fresh array of zeros, entered into `results` by its name.
template <class T>
T* zeros(py::dict& results, const char* name, std::size_t size) {
  py::array_t<T> array(static_cast<py::ssize_t>(size));
  std::fill_n(array.mutable_data(), size, T{});
  results[name] = array;
  return array.mutable_data();
}

py::dict emd(const py::object& n_rows, const py::object& n_columns, const py::object& a, const py::object& b,
             const py::object& cost, std::uint64_t max_iter, unsigned n_threads) {
  const Array<const std::int64_t> heights = input<std::int64_t>(n_rows, "n_rows");
  const Array<const std::int64_t> widths = input<std::int64_t>(n_columns, "n_columns");
  const Array<const double> left = input<double>(a, "a"), right = input<double>(b, "b");
  const std::size_t n = heights.size, most_entries = left.size + right.size;
  py::dict results;
  const transport::ExactResults places{
      zeros<double>(results, "cost", n),
      zeros<double>(results, "gap", n),
      zeros<std::int64_t>(results, "n_iter", n),
      zeros<std::uint8_t>(results, "optimal", n),
      zeros<double>(results, "u", left.size),
      zeros<double>(results, "v", right.size),
      zeros<std::int64_t>(results, "n_entries", n),
      zeros<std::int64_t>(results, "row_entries", left.size),
      zeros<std::int64_t>(results, "columns", most_entries),
      zeros<double>(results, "masses", most_entries),
  };
  // Sizes and flows lead to addresses: another thread may change the caller's arrays while we run.
  const std::vector<std::int64_t> own_heights(heights.data, heights.data + n);
  const std::vector<std::int64_t> own_widths(widths.data, widths.data + widths.size);
  const std::vector<double> own_left(left.data, left.data + left.size);
  const std::vector<double> own_right(right.data, right.data + right.size);
  with_dtype<float, double>(cost, "cost", [&](auto zero) {
    using T = decltype(zero);
    const Array<const T> costs = input<T>(cost, "cost");
    const NativeCall call;
    transport::solve_exactly<T>({own_heights, own_widths, own_left, own_right, costs}, places, max_iter, n_threads);
  });
  return results;
}

}  // namespace

void register_transport_exact(py::module_& m) {
  m.def("emd", &emd, py::arg("n_rows"), py::arg("n_columns"), py::arg("a"), py::arg("b"), py::arg("cost"),
        py::arg("max_iter"), py::arg("n_threads"),
        "Exact plans of problems laid end to end: cost, gap, potentials and the positive entries of each.");
}

}  // namespace likewise::bindings
