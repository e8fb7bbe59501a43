#include "likewise/search/index.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "core/search/string_table.hpp"

namespace py = pybind11;

namespace likewise::bindings {
namespace {

using search::Index;
using search::kNotFound;
using search::Query;

search::Variant variant_of(const std::string& name) {
  using search::Variant;
  static const std::pair<const char*, Variant> all[] = {{"lucene", Variant::lucene},  {"robertson", Variant::robertson},
                                                        {"atire", Variant::atire},    {"bm25l", Variant::bm25l},
                                                        {"bm25+", Variant::bm25plus}, {"bm25", Variant::bm25},
                                                        {"okapi", Variant::okapi}};
  for (const auto& [known, variant] : all)
    if (name == known) return variant;
  throw value_error("variant: expected lucene, robertson, atire, bm25l, bm25+, bm25 or okapi, got '" + name + "'");
}

std::unique_ptr<Index> validate(const py::dict& arrays, const std::string& variant, double k1, double b, double delta,
                                bool nonoccurrence, bool float64, bool full, std::optional<std::uint64_t> n_tokens,
                                const py::object& before_block) {
  search::SegmentArrays a;
  search::for_each_array(
      [&](const char* name, auto& view) {
        if (!arrays.contains(name)) throw boundary_error(std::string(name) + ": expected this array, got none");
        view = input<std::remove_const_t<std::remove_pointer_t<decltype(view.data)>>>(arrays[name], name);
      },
      a);
  search::Scoring scoring;
  scoring.variant = variant_of(variant);
  scoring.k1 = k1;
  scoring.b = b;
  scoring.delta = delta;
  scoring.nonoccurrence = nonoccurrence;
  const auto owner = keep_alive(arrays.attr("copy")());
  search::BlockVisitor visitor;
  if (!before_block.is_none())
    visitor = [&before_block](std::uint64_t begin, std::uint64_t end) {
      const py::gil_scoped_acquire gil;
      before_block(begin, end);
    };
  const NativeCall call;
  return Index::validate(a, owner, scoring, float64, full, n_tokens, visitor);
}

/// The UTF-8 of a str without leaving a copy of it in the object, as PyUnicode_AsUTF8 would.
template <class Use>
auto with_utf8(const py::handle& text, std::size_t position, const Use& use) {
  PyObject* p = text.ptr();
  if (!PyUnicode_Check(p))
    throw type_error("query: expected str tokens, got " + std::string(Py_TYPE(p)->tp_name) + " at position " +
                     std::to_string(position));
  if (PyUnicode_IS_COMPACT_ASCII(p))
    return use(std::string_view(static_cast<const char*>(PyUnicode_DATA(p)),
                                static_cast<std::size_t>(PyUnicode_GET_LENGTH(p))));
  const auto bytes = py::reinterpret_steal<py::bytes>(PyUnicode_AsUTF8String(p));
  if (!bytes) {
    PyErr_Clear();
    throw value_error("query: expected text without lone surrogates, got one at position " + std::to_string(position));
  }
  return use(static_cast<std::string_view>(bytes));
}

std::vector<std::uint32_t> find_terms(const Index& index, const py::list& tokens) {
  std::vector<std::uint32_t> found(tokens.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    found[i] = with_utf8(tokens[i], i, [&](std::string_view token) { return index.find_term(token); });
  return found;
}

template <class T>
py::array_t<T> array_of(const std::vector<T>& values) {
  return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

py::array empty_scores(const Index& index, std::vector<py::ssize_t> shape) {
  return py::array(index.float64() ? py::dtype::of<double>() : py::dtype::of<float>(), std::move(shape));
}

/// A query handed in as arrays. Terms are checked here: the core trusts them.
Query query_of(const Index& index, span<const std::uint32_t> terms, span<const double> weights) {
  if (terms.size != weights.size) throw boundary_error("weights: expected one weight a term");
  Query query;
  query.terms.assign(terms.begin(), terms.end());  // first: native code elsewhere may write into the caller's array
  query.weights.assign(weights.begin(), weights.end());
  for (const std::uint32_t term : query.terms)
    if (term >= index.statistics().n_terms) throw boundary_error("terms: expected terms of the index");
  return query;
}

void check_document(const Index& index, std::int64_t document) {
  if (document < 0 || static_cast<std::uint64_t>(document) >= index.statistics().n_docs)
    throw boundary_error("document: expected a document of the index, got " + std::to_string(document));
}

/// A copy that has been checked: while it is used, another thread may write into the caller's array.
std::vector<std::int64_t> documents_of(const Index& index, const py::object& documents) {
  const auto ids = input<std::int64_t>(documents, "documents");
  std::vector<std::int64_t> copied(ids.data, ids.data + ids.size);
  for (const std::int64_t document : copied) check_document(index, document);
  return copied;
}

py::tuple run(const Index& index, const Query& query, std::size_t k, bool exhaustive, std::int64_t excluded,
              unsigned n_threads) {
  k = std::min<std::size_t>(k, index.statistics().n_docs);
  std::vector<std::int64_t> documents(k);
  const std::unique_ptr<char[]> scores(new char[k * (index.float64() ? 8 : 4)]);
  std::size_t n = 0;
  {
    const NativeCall call;
    n = index.search(query, k, exhaustive ? search::Method::exhaustive : search::Method::automatic, excluded, n_threads,
                     documents.data(), scores.get());
  }
  py::array found = empty_scores(index, {static_cast<py::ssize_t>(n)});
  std::copy_n(scores.get(), static_cast<std::size_t>(found.nbytes()), static_cast<char*>(found.mutable_data()));
  return py::make_tuple(py::array_t<std::int64_t>(static_cast<py::ssize_t>(n), documents.data()), found);
}

/// The results of many queries: [q, k] documents (-1) and scores (-inf), padded, and the number of hits of each.
struct Table {
  Table(const Index& index, std::size_t n_queries, std::size_t width)
      : k(std::min<std::size_t>(width, index.statistics().n_docs)),
        columns(width),
        documents({n_queries, width}),
        scores(empty_scores(index, {static_cast<py::ssize_t>(n_queries), static_cast<py::ssize_t>(width)})),
        n_hits(static_cast<py::ssize_t>(n_queries)),
        float64(index.float64()),
        document_data(documents.mutable_data()),
        score_data(static_cast<char*>(scores.mutable_data())),
        hit_data(n_hits.mutable_data()) {}

  std::int64_t* documents_of(std::size_t row) const { return document_data + row * columns; }
  void* scores_of(std::size_t row) const { return score_data + row * columns * (float64 ? 8 : 4); }
  void end_row(std::size_t row, std::size_t n) const {
    hit_data[row] = static_cast<std::int64_t>(n);
    std::fill(documents_of(row) + n, documents_of(row) + columns, -1);
    if (float64) {
      std::fill_n(static_cast<double*>(scores_of(row)) + n, columns - n, -std::numeric_limits<double>::infinity());
    } else {
      std::fill_n(static_cast<float*>(scores_of(row)) + n, columns - n, -std::numeric_limits<float>::infinity());
    }
  }
  py::tuple tuple() const { return py::make_tuple(documents, scores, n_hits); }

  std::size_t k, columns;
  py::array_t<std::int64_t> documents;
  py::array scores;
  py::array_t<std::int64_t> n_hits;
  bool float64;
  std::int64_t* document_data;
  char* score_data;
  std::int64_t* hit_data;
};

std::vector<Query> queries_of(const Index& index, const py::object& indptr, const py::object& terms,
                              const py::object& weights) {
  const auto offsets = input<std::int64_t>(indptr, "indptr");
  const auto ids = input<std::uint32_t>(terms, "terms");
  const auto values = input<double>(weights, "weights");
  if (offsets.size == 0 || offsets.data[0] != 0 || ids.size != values.size ||
      offsets.data[offsets.size - 1] != static_cast<std::int64_t>(ids.size))
    throw boundary_error("indptr: expected offsets from 0 to the number of terms");
  std::vector<Query> queries;
  queries.reserve(offsets.size - 1);
  for (std::size_t q = 0; q + 1 < offsets.size; ++q) {
    const std::int64_t begin = offsets.data[q], end = offsets.data[q + 1];
    if (begin > end || end > static_cast<std::int64_t>(ids.size))
      throw boundary_error("indptr: expected offsets that do not decrease");
    const auto n = static_cast<std::size_t>(end - begin);
    queries.push_back(query_of(index, {ids.data + begin, n}, {values.data + begin, n}));
  }
  return queries;
}

py::tuple run_batch(const Index& index, const py::object& indptr, const py::object& terms, const py::object& weights,
                    std::size_t k, bool exhaustive, unsigned n_threads) {
  const std::vector<Query> queries = queries_of(index, indptr, terms, weights);
  const Table table(index, queries.size(), k);
  {
    const NativeCall call;
    const auto method = exhaustive ? search::Method::exhaustive : search::Method::automatic;
    parallel_for(queries.size(), n_threads, [&](std::size_t q) {
      table.end_row(q, index.search(queries[q], table.k, method, -1, 1, table.documents_of(q), table.scores_of(q)));
    });
  }
  return table.tuple();
}

py::tuple run_related(const Index& index, const py::object& documents, std::size_t k, bool full, std::size_t n_keywords,
                      double min_df, double max_df, double k3, unsigned n_threads) {
  const std::vector<std::int64_t> copied = documents_of(index, documents);
  search::RelatedOptions options;
  options.full = full;
  options.n_keywords = n_keywords;
  options.min_df = min_df;
  options.max_df = max_df;
  options.k3 = k3;
  const Table table(index, copied.size(), k);
  {
    const NativeCall call;
    parallel_for(copied.size(), n_threads, [&](std::size_t q) {
      const Query query = index.related_query(static_cast<std::uint32_t>(copied[q]), options);
      table.end_row(q, index.search(query, table.k, search::Method::automatic, copied[q], 1, table.documents_of(q),
                                    table.scores_of(q)));
    });
  }
  return table.tuple();
}

py::tuple query_arrays(const Query& query) { return py::make_tuple(array_of(query.terms), array_of(query.weights)); }

void* score_output(const Index& index, const py::object& out, int rank, std::size_t n_columns, std::size_t n_rows) {
  const auto check = [&](const auto& array) -> void* {
    if (array.shape(rank - 1) != n_columns || (rank == 2 && array.shape(0) != n_rows))
      throw boundary_error("out: expected one score a document, got " + describe(out));
    return array.data;
  };
  if (index.float64()) return check(output<double>(out, "out", rank));
  return check(output<float>(out, "out", rank));
}

}  // namespace

void register_search(py::module_& m) {
  py::class_<Index>(m, "Index")
      .def_static("validate", &validate, py::arg("arrays"), py::kw_only(), py::arg("variant"), py::arg("k1"),
                  py::arg("b"), py::arg("delta"), py::arg("nonoccurrence").noconvert(), py::arg("float64").noconvert(),
                  py::arg("full").noconvert(), py::arg("n_tokens").noconvert() = py::none(),
                  py::arg("before_block") = py::none())
      .def_property_readonly("n_docs", [](const Index& i) { return i.statistics().n_docs; })
      .def_property_readonly("n_terms", [](const Index& i) { return i.statistics().n_terms; })
      .def_property_readonly("n_postings", [](const Index& i) { return i.statistics().n_postings; })
      .def_property_readonly("n_tokens", [](const Index& i) { return i.statistics().n_tokens; })
      .def_property_readonly("average_length", [](const Index& i) { return i.statistics().average_length; })
      .def_property_readonly("nbytes", &Index::bytes)
      .def_property_readonly("float64", &Index::float64)
      .def("check",
           [](const Index& i) {
             const NativeCall call;
             i.check();
           })
      .def("find_terms", [](const Index& i, const py::list& tokens) { return array_of(find_terms(i, tokens)); },
           py::arg("tokens"))
      .def("term",
           [](const Index& i, std::uint32_t term) {
             if (term >= i.statistics().n_terms) throw boundary_error("term: expected a term of the index");
             const std::string_view text = i.term(term);
             return decode(text, "term_bytes");
           },
           py::arg("term"))
      .def("document_frequency",
           [](const Index& i, std::uint32_t term) {
             if (term >= i.statistics().n_terms) throw boundary_error("term: expected a term of the index");
             return i.document_frequency(term);
           },
           py::arg("term"))
      .def("idf",
           [](const Index& i, std::uint32_t term) {
             if (term >= i.statistics().n_terms) throw boundary_error("term: expected a term of the index");
             return i.idf(term);
           },
           py::arg("term"))
      .def("document_length",
           [](const Index& i, std::int64_t document) {
             check_document(i, document);
             return i.arrays().document_lengths[static_cast<std::size_t>(document)];
           },
           py::arg("document"))
      .def("posting",
           [](const Index& i, std::uint32_t term, std::int64_t document) {
             if (term >= i.statistics().n_terms) throw boundary_error("term: expected a term of the index");
             check_document(i, document);
             const NativeCall call;
             return i.posting(term, static_cast<std::uint32_t>(document));
           },
           py::arg("term"), py::arg("document"))
      .def("make_query",
           [](const Index& i, const py::list& tokens, double k3) {
             return query_arrays(i.make_query(find_terms(i, tokens), k3));
           },
           py::arg("tokens"), py::arg("k3"))
      .def("make_queries",
           [](const Index& i, const py::list& queries, double k3) {
             std::vector<std::int64_t> offsets{0};
             Query all;
             for (const py::handle& tokens : queries) {
               if (!py::isinstance<py::list>(tokens)) throw boundary_error("queries: expected lists of tokens");
               const Query query = i.make_query(find_terms(i, py::reinterpret_borrow<py::list>(tokens)), k3);
               all.terms.insert(all.terms.end(), query.terms.begin(), query.terms.end());
               all.weights.insert(all.weights.end(), query.weights.begin(), query.weights.end());
               offsets.push_back(static_cast<std::int64_t>(all.terms.size()));
             }
             return py::make_tuple(array_of(offsets), array_of(all.terms), array_of(all.weights));
           },
           py::arg("queries"), py::arg("k3"))
      .def("search_tokens",
           [](const Index& i, const py::list& tokens, double k3, std::size_t k, bool exhaustive) {
             return run(i, i.make_query(find_terms(i, tokens), k3), k, exhaustive, -1, 1);
           },
           py::arg("tokens"), py::arg("k3"), py::arg("k"), py::arg("exhaustive").noconvert())
      .def("search",
           [](const Index& i, const py::object& terms, const py::object& weights, std::size_t k, bool exhaustive,
              std::int64_t excluded, unsigned n_threads) {
             const Query query = query_of(i, input<std::uint32_t>(terms, "terms"), input<double>(weights, "weights"));
             return run(i, query, k, exhaustive, excluded, n_threads);
           },
           py::arg("terms"), py::arg("weights"), py::arg("k"), py::arg("exhaustive").noconvert(),
           py::arg("excluded") = -1, py::arg("n_threads") = 1)
      .def("search_batch", &run_batch, py::arg("indptr"), py::arg("terms"), py::arg("weights"), py::arg("k"),
           py::arg("exhaustive").noconvert(), py::arg("n_threads"))
      .def("score_all",
           [](const Index& i, const py::object& terms, const py::object& weights, const py::object& out) {
             const Query query = query_of(i, input<std::uint32_t>(terms, "terms"), input<double>(weights, "weights"));
             void* scores = score_output(i, out, 1, i.statistics().n_docs, 1);
             const NativeCall call;
             i.score_all(query, scores);
           },
           py::arg("terms"), py::arg("weights"), py::arg("out"))
      .def("score_some",
           [](const Index& i, const py::object& terms, const py::object& weights, const py::object& documents,
              const py::object& out) {
             const Query query = query_of(i, input<std::uint32_t>(terms, "terms"), input<double>(weights, "weights"));
             const std::vector<std::int64_t> copied = documents_of(i, documents);
             void* scores = score_output(i, out, 1, copied.size(), 1);
             const NativeCall call;
             i.score_some(query, copied, scores);
           },
           py::arg("terms"), py::arg("weights"), py::arg("documents"), py::arg("out"))
      .def("score_batch",
           [](const Index& i, const py::object& indptr, const py::object& terms, const py::object& weights,
              const py::object& out, unsigned n_threads) {
             const std::vector<Query> queries = queries_of(i, indptr, terms, weights);
             const std::size_t row = i.statistics().n_docs * (i.float64() ? 8 : 4);
             char* scores = static_cast<char*>(score_output(i, out, 2, i.statistics().n_docs, queries.size()));
             const NativeCall call;
             parallel_for(queries.size(), n_threads, [&](std::size_t q) { i.score_all(queries[q], scores + q * row); });
           },
           py::arg("indptr"), py::arg("terms"), py::arg("weights"), py::arg("out"), py::arg("n_threads"))
      .def("score_some_batch",
           [](const Index& i, const py::object& indptr, const py::object& terms, const py::object& weights,
              const py::object& documents, const py::object& out, unsigned n_threads) {
             const std::vector<Query> queries = queries_of(i, indptr, terms, weights);
             const std::vector<std::int64_t> copied = documents_of(i, documents);
             const std::size_t row = copied.size() * (i.float64() ? 8 : 4);
             char* scores = static_cast<char*>(score_output(i, out, 2, copied.size(), queries.size()));
             const NativeCall call;
             parallel_for(queries.size(), n_threads,
                          [&](std::size_t q) { i.score_some(queries[q], copied, scores + q * row); });
           },
           py::arg("indptr"), py::arg("terms"), py::arg("weights"), py::arg("documents"), py::arg("out"),
           py::arg("n_threads"))
      .def("baseline",
           [](const Index& i, const py::object& terms, const py::object& weights) {
             const FloatEnvironment environment;
             return i.baseline(query_of(i, input<std::uint32_t>(terms, "terms"), input<double>(weights, "weights")));
           },
           py::arg("terms"), py::arg("weights"))
      .def("keywords",
           [](const Index& i, std::int64_t document, std::size_t n, double min_df, double max_df) {
             check_document(i, document);
             std::vector<search::Keyword> found;
             {
               const NativeCall call;
               found = i.keywords(static_cast<std::uint32_t>(document), n, min_df, max_df);
             }
             std::vector<std::uint32_t> terms;
             std::vector<double> scores;
             for (const search::Keyword& keyword : found) {
               terms.push_back(keyword.term);
               scores.push_back(keyword.score);
             }
             return py::make_tuple(array_of(terms), array_of(scores));
           },
           py::arg("document"), py::arg("n"), py::arg("min_df"), py::arg("max_df"))
      .def("related", &run_related, py::arg("documents"), py::arg("k"), py::arg("full").noconvert(),
           py::arg("n_keywords"), py::arg("min_df"), py::arg("max_df"), py::arg("k3"), py::arg("n_threads"))
      .def("warm",
           [](const Index& i, unsigned n_threads) {
             const NativeCall call;
             i.warm(n_threads);
           },
           py::arg("n_threads"));
}

}  // namespace likewise::bindings
