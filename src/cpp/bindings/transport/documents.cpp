#include "likewise/transport/documents.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"

namespace py = pybind11;

namespace likewise::bindings {
namespace {

using transport::Bag;
using transport::DocumentDistance;
using transport::DocumentHits;

constexpr std::pair<const char*, DocumentDistance> kDistances[] = {{"word_movers", DocumentDistance::word_movers},
                                                                   {"relaxed", DocumentDistance::relaxed},
                                                                   {"centroid", DocumentDistance::centroid}};

template <class T>
std::size_t width_of(const Array<const T>& vectors) {
  if (vectors.shape(1) == 0) throw boundary_error("vectors: expected at least 1 column, got 0");
  return vectors.shape(1);
}

double document_distance(const std::string& kind, const py::object& vectors, const py::object& words_a,
                         const py::object& counts_a, const py::object& words_b, const py::object& counts_b,
                         bool normalize) {
  const auto* const known = std::find_if(std::begin(kDistances), std::end(kDistances),
                                         [&](const auto& entry) { return kind == entry.first; });
  if (known == std::end(kDistances))
    throw boundary_error("kind: expected word_movers, relaxed or centroid, got '" + kind + "'");
  const Array<const std::int64_t> a = input<std::int64_t>(words_a, "words_a");
  const Array<const double> a_counts = input<double>(counts_a, "counts_a");
  const Array<const std::int64_t> b = input<std::int64_t>(words_b, "words_b");
  const Array<const double> b_counts = input<double>(counts_b, "counts_b");
  return with_dtype<float, double>(vectors, "vectors", [&](auto zero) {
    using T = decltype(zero);
    const Array<const T> table = input<T>(vectors, "vectors", 2);
    const std::size_t dim = width_of(table);
    const NativeCall call;
    return transport::document_distance<T>(known->second, table, dim, Bag{a, a_counts}, Bag{b, b_counts}, normalize);
  });
}

int prepare_vectors(const py::object& vectors, bool normalize, const py::object& out, unsigned n_threads) {
  return with_dtype<float, double>(vectors, "vectors", [&](auto zero) {
    using T = decltype(zero);
    const Array<const T> table = input<T>(vectors, "vectors", 2);
    const Array<T> result = output<T>(out, "out", 2);
    if (result.shape(0) != table.shape(0) || result.shape(1) != table.shape(1))
      throw boundary_error("out: expected the shape of vectors, got " + describe(out));
    const std::size_t dim = width_of(table);
    const NativeCall call;
    return transport::prepare_vectors(table.data, table.shape(0), dim, normalize, result.data, n_threads);
  });
}

class DocumentIndex {
 public:
  DocumentIndex(const py::object& vectors, const py::object& terms, const py::object& indptr, const py::object& words,
                const py::object& weights) {
    with_dtype<float, double>(vectors, "vectors", [&](auto zero) {
      using T = decltype(zero);
      const Array<const T> table = input<T>(vectors, "vectors", 2);
      typename transport::DocumentIndex<T>::Arrays arrays;
      arrays.vectors = table;
      arrays.dim = width_of(table);
      arrays.terms = input<std::int32_t>(terms, "terms");
      arrays.indptr = input<std::int64_t>(indptr, "indptr");
      arrays.words = input<std::int32_t>(words, "words");
      arrays.weights = input<double>(weights, "weights");
      const auto owner = keep_alive(py::make_tuple(vectors, terms, indptr, words, weights));
      const NativeCall call;
      index_ = transport::DocumentIndex<T>::validate(arrays, owner);
    });
  }

  py::tuple search(const py::object& words, const py::object& counts, std::size_t k, unsigned n_threads) const {
    const Array<const std::int64_t> rows = input<std::int64_t>(words, "words");
    const Array<const double> times = input<double>(counts, "counts");
    DocumentHits hits;
    {
      const NativeCall call;
      hits = std::visit([&](const auto& index) { return index->search(Bag{rows, times}, k, n_threads); }, index_);
    }
    const auto n = static_cast<py::ssize_t>(hits.documents.size());
    return py::make_tuple(py::array_t<double>(n, hits.distances.data()),
                          py::array_t<std::int64_t>(n, hits.documents.data()), hits.n_bounded, hits.n_refined,
                          hits.n_solved);
  }

 private:
  std::variant<std::unique_ptr<transport::DocumentIndex<float>>, std::unique_ptr<transport::DocumentIndex<double>>>
      index_;
};

}  // namespace

void register_transport_documents(py::module_& m) {
  m.def("document_distance", &document_distance, py::arg("kind"), py::arg("vectors"), py::arg("words_a"),
        py::arg("counts_a"), py::arg("words_b"), py::arg("counts_b"), py::arg("normalize").noconvert(),
        "Distance of two bags of words, numbers of rows of `vectors`; no counts: each word once.");
  m.def("prepare_vectors", &prepare_vectors, py::arg("vectors"), py::arg("normalize").noconvert(), py::arg("out"),
        py::arg("n_threads"), "Rows of length one, or divided by the power of two whose exponent is returned.");
  py::class_<DocumentIndex>(m, "DocumentIndex", "Documents to be ranked by Word Mover's Distance.")
      .def(py::init<const py::object&, const py::object&, const py::object&, const py::object&, const py::object&>(),
           py::arg("vectors"), py::arg("terms"), py::arg("indptr"), py::arg("words"), py::arg("weights"))
      .def("search", &DocumentIndex::search, py::arg("words"), py::arg("counts"), py::arg("k"), py::arg("n_threads"),
           "(distances, documents, n_bounded, n_refined, n_solved) of the k nearest documents.");
}

}  // namespace likewise::bindings
