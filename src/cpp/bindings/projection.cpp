#include "likewise/projection.hpp"

#include <algorithm>
#include <utility>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"

namespace py = pybind11;

namespace likewise::bindings {
namespace {

using projection::Method;
using projection::Parameters;
using projection::Projection;

constexpr std::pair<const char*, Method> kMethods[] = {
    {"hadamard", Method::hadamard},     {"sjlt", Method::sjlt},         {"countsketch", Method::countsketch},
    {"very_sparse", Method::very_sparse}, {"achlioptas", Method::achlioptas}, {"gaussian", Method::gaussian},
    {"srht", Method::srht}};

Projection make(const std::string& method, std::uint64_t n_features, std::uint64_t n_components, std::uint64_t seed,
                std::uint64_t nnz, double density) {
  Parameters p;
  const auto* const known = std::find_if(std::begin(kMethods), std::end(kMethods),
                                         [&](const auto& entry) { return method == entry.first; });
  if (known == std::end(kMethods))
    throw value_error("method: expected hadamard, sjlt, countsketch, very_sparse, achlioptas, gaussian or srht, got '" +
                      method + "'");
  p.method = known->second;
  p.n_features = n_features;
  p.n_components = n_components;
  p.seed = seed;
  p.nnz = nnz;
  p.density = density;
  const NativeCall call;
  return Projection(p);
}

const char* method_name(const Projection& p) {
  return std::find_if(std::begin(kMethods), std::end(kMethods), [&](const auto& entry) {
           return entry.second == p.parameters().method;
         })->first;
}

template <class T>
Array<T> table(const py::object& out, std::size_t n_rows, std::size_t n_columns) {
  const Array<T> result = output<T>(out, "out", 2);
  if (result.shape(0) != n_rows || result.shape(1) != n_columns)
    throw boundary_error("out: expected shape [" + std::to_string(n_rows) + ", " + std::to_string(n_columns) +
                         "], got " + describe(out));
  return result;
}

template <class T>
Array<const T> rows_of(const Projection& p, const py::object& x) {
  const Array<const T> rows = input<T>(x, "X", 2);
  if (rows.shape(1) != p.parameters().n_features)
    throw boundary_error("X: expected " + std::to_string(p.parameters().n_features) + " columns, got " + describe(x));
  return rows;
}

std::int64_t transform(const Projection& p, const py::object& x, const py::object& out, unsigned n_threads) {
  return with_dtype<float, double>(x, "X", [&](auto zero) {
    using T = decltype(zero);
    const Array<const T> rows = rows_of<T>(p, x);
    const Array<T> result = table<T>(out, rows.shape(0), p.parameters().n_components);
    const NativeCall call;
    return p.transform(rows.data, rows.shape(0), result.data, n_threads);
  });
}

std::int64_t transform_csr(const Projection& p, const py::object& indptr, const py::object& indices,
                           const py::object& data, const py::object& out, unsigned n_threads) {
  return with_dtype<float, double>(data, "data", [&](auto zero) {
    return with_dtype<std::int32_t, std::int64_t>(indices, "indices", [&](auto index) {
      return with_dtype<std::int32_t, std::int64_t>(indptr, "indptr", [&](auto offset) {
        using T = decltype(zero);
        using Index = decltype(index);
        using Offset = decltype(offset);
        projection::CsrRows<T, Index, Offset> x;
        x.indptr = input<Offset>(indptr, "indptr");
        x.indices = input<Index>(indices, "indices");
        x.data = input<T>(data, "data");
        const std::size_t n = x.indptr.size > 0 ? x.indptr.size - 1 : 0;
        const Array<T> result = table<T>(out, n, p.parameters().n_components);
        const NativeCall call;
        return p.transform(x, result.data, n_threads);
      });
    });
  });
}

void rows(const Projection& p, std::size_t first, const py::object& out) {
  with_dtype<float, double>(out, "out", [&](auto zero) {
    using T = decltype(zero);
    const Array<T> result = output<T>(out, "out", 2);
    const std::size_t n = result.shape(0);
    if (result.shape(1) != p.parameters().n_components)
      throw boundary_error("out: expected " + std::to_string(p.parameters().n_components) + " columns, got " +
                           describe(out));
    if (first > p.parameters().n_features || n > p.parameters().n_features - first)
      throw boundary_error("first: expected rows below " + std::to_string(p.parameters().n_features) + ", got " +
                           std::to_string(first) + " and " + std::to_string(n) + " rows");
    const NativeCall call;
    p.columns(first, n, result.data);
  });
}

std::int64_t simhash(const Projection& p, const py::object& x, const py::object& out, unsigned n_threads) {
  return with_dtype<float, double>(x, "X", [&](auto zero) {
    using T = decltype(zero);
    const Array<const T> values = rows_of<T>(p, x);
    const Array<std::uint8_t> codes = table<std::uint8_t>(out, values.shape(0), (p.parameters().n_components + 7) / 8);
    const NativeCall call;
    return p.sign_codes(values.data, values.shape(0), codes.data, n_threads);
  });
}

void hamming(const py::object& a, const py::object& b, const py::object& out, unsigned n_threads) {
  const Array<const std::uint8_t> left = input<std::uint8_t>(a, "A", 2), right = input<std::uint8_t>(b, "B", 2);
  if (left.shape(1) != right.shape(1))
    throw boundary_error("B: expected " + std::to_string(left.shape(1)) + " columns, got " + describe(b));
  if (left.shape(1) > (std::size_t{1} << 27))  // more bits than an int32 counts
    throw boundary_error("A: expected at most 2^27 columns, got " + describe(a));
  const Array<std::int32_t> distances = table<std::int32_t>(out, left.shape(0), right.shape(0));
  const NativeCall call;
  projection::hamming_distances(left.data, left.shape(0), right.data, right.shape(0), left.shape(1), distances.data,
                                n_threads);
}

}  // namespace

void register_projection(py::module_& m) {
  py::class_<Projection>(m, "Projection", "One random matrix S of shape (n_components, n_features).")
      .def(py::init(&make), py::arg("method"), py::arg("n_features"), py::arg("n_components"), py::arg("seed"),
           py::arg("nnz") = 0, py::arg("density") = 0.0)
      .def_property_readonly("method", &method_name)
      .def_property_readonly("n_features", [](const Projection& p) { return p.parameters().n_features; })
      .def_property_readonly("n_components", [](const Projection& p) { return p.parameters().n_components; })
      .def("transform", &transform, py::arg("X"), py::arg("out"), py::arg("n_threads"),
           "out = X S^T. Returns the first row whose result is not finite, or -1.")
      .def("transform_csr", &transform_csr, py::arg("indptr"), py::arg("indices"), py::arg("data"), py::arg("out"),
           py::arg("n_threads"), "The same for rows of a CSR matrix; ValueError where its arrays break their rules.")
      .def("rows", &rows, py::arg("first"), py::arg("out"), "Rows of S^T from `first` on: the images of unit vectors.");
  m.def("simhash", &simhash, py::arg("projection"), py::arg("X"), py::arg("out"), py::arg("n_threads"),
        "Bits of X S^T >= 0, LSB first. Returns the first row whose result is not finite, or -1.");
  m.def("hamming", &hamming, py::arg("A"), py::arg("B"), py::arg("out"), py::arg("n_threads"),
        "The number of different bits of each pair of codes.");
}

}  // namespace likewise::bindings
