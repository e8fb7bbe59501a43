#include "core/search/arrow.hpp"

#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>

#include "bindings/bindings.hpp"
#include "bindings/search/scanning.hpp"
#include "core/search/text_totals.hpp"
#include "likewise/error.hpp"

namespace py = pybind11;

namespace likewise::bindings {
namespace {

namespace arrow = search::arrow;
using PyReader = Guarded<arrow::TextReader>;

/// Takes over the structure in a capsule of the Arrow PyCapsule interface.
template <class T>
arrow::Owned<T> take(const py::object& capsule, const char* name, const std::string& argument) {
  if (!PyCapsule_IsValid(capsule.ptr(), name))
    throw type_error(argument + ": expected a capsule named " + name + ", got " + describe(capsule));
  auto* const source = static_cast<T*>(PyCapsule_GetPointer(capsule.ptr(), name));
  if (source->release == nullptr)
    throw value_error(argument + ": expected Arrow data, got some that were consumed before");
  return arrow::Owned<T>(source);
}

arrow::ReaderOptions options_of(std::optional<std::vector<std::string>> fields, std::optional<std::string> id_field,
                                std::string argument, std::string null_hint) {
  arrow::ReaderOptions options;
  options.fields = std::move(fields);
  options.id_field = std::move(id_field);
  options.argument = std::move(argument);
  options.null_hint = std::move(null_hint);
  return options;
}

/// Ids of the last documents, or None where no column holds them.
py::object ids_of(const arrow::TextReader& reader) {
  if (!reader.has_ids()) return py::none();
  py::list ids;
  if (reader.has_integer_ids()) {
    for (const std::int64_t id : reader.integer_ids()) ids.append(id);
  } else {
    for (const std::string_view id : reader.text_ids()) ids.append(str_of(id));
  }
  return ids;
}

/// Scans the next few megabytes: (number of documents, their ids). No documents: the end.
py::tuple scan(PyReader& self, PyScanner& scanner, std::size_t first_position, search::TextStore* store,
               unsigned n_threads) {
  const Use use(self);
  const Use use_too(scanner);
  std::size_t n = 0;
  {
    const NativeCall call;
    const auto texts = self.object.next(kChunkBytes, first_position);
    scanner.object.scan(texts, self.object.n_parts(), n_threads);
    if (store != nullptr) store->add(texts, self.object.n_parts());
    n = texts.size / self.object.n_parts();
  }
  return py::make_tuple(n, ids_of(self.object));
}

/// The same documents as strs, their parts joined by line feeds: (texts, ids).
py::tuple read(PyReader& self, std::size_t first_position) {
  const Use use(self);
  span<const std::string_view> texts;
  {
    const NativeCall call;
    texts = self.object.next(kChunkBytes, first_position);
  }
  const std::size_t n_parts = self.object.n_parts();
  py::list out;
  for (std::size_t i = 0; i < texts.size; i += n_parts) {
    std::string joined(texts[i]);
    for (std::size_t part = 1; part < n_parts; ++part) joined.append("\n").append(texts[i + part]);
    out.append(str_of(joined));
  }
  return py::make_tuple(out, ids_of(self.object));
}

/// Reads all that is left, without looking for words: (number of texts, bytes, a sum over them).
py::tuple add_up(PyReader& self) {
  const Use use(self);
  search::TextTotals totals;
  {
    const NativeCall call;
    for (;;) {
      const auto texts = self.object.next(kChunkBytes, totals.n_texts / self.object.n_parts());
      if (texts.size == 0) break;
      totals.add(texts);
    }
  }
  return py::make_tuple(totals.n_texts, totals.n_bytes, totals.sum);
}

}  // namespace

void register_search_arrow(py::module_& m) {
  py::class_<PyReader>(m, "ArrowReader")
      .def_static("from_stream",
                  [](const py::object& stream, std::optional<std::vector<std::string>> fields,
                     std::optional<std::string> id_field, std::string argument, std::string null_hint) {
                    auto owned = take<arrow::Stream>(stream, "arrow_array_stream", argument);
                    arrow::ReaderOptions options =
                        options_of(std::move(fields), std::move(id_field), std::move(argument), std::move(null_hint));
                    const NativeCall call;
                    return std::make_unique<PyReader>(std::move(owned), std::move(options));
                  },
                  py::arg("stream"), py::kw_only(), py::arg("fields").none(true), py::arg("id_field").none(true),
                  py::arg("argument").none(false), py::arg("null_hint").none(false))
      .def_static("from_array",
                  [](const py::object& schema, const py::object& array, std::optional<std::vector<std::string>> fields,
                     std::optional<std::string> id_field, std::string argument, std::string null_hint) {
                    auto owned_schema = take<arrow::Schema>(schema, "arrow_schema", argument);
                    auto owned_array = take<arrow::Array>(array, "arrow_array", argument);
                    arrow::ReaderOptions options =
                        options_of(std::move(fields), std::move(id_field), std::move(argument), std::move(null_hint));
                    return std::make_unique<PyReader>(std::move(owned_schema), std::move(owned_array),
                                                      std::move(options));
                  },
                  py::arg("schema"), py::arg("array"), py::kw_only(), py::arg("fields").none(true),
                  py::arg("id_field").none(true), py::arg("argument").none(false), py::arg("null_hint").none(false))
      .def("scan", &scan, py::arg("scanner"), py::kw_only(), py::arg("first_position"), py::arg("store").none(true),
           py::arg("n_threads") = 1)
      .def("read", &read, py::kw_only(), py::arg("first_position"))
      .def("add_up", &add_up);
}

}  // namespace likewise::bindings
