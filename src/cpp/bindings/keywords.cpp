#include "likewise/keywords.hpp"

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"

namespace py = pybind11;

namespace likewise::bindings {
namespace {

using namespace keywords;

/// Matrices of words (rows) by dimensions of one dtype, and what else a kind of model has. Holds the arrays.
struct Model {
  py::object vectors, outputs;
  Array<const std::int64_t> ptr;
  Array<const std::uint32_t> node;
  Array<const std::uint8_t> code;
  Array<const double> bias;
  std::size_t n_words = 0, dim = 0;
};
struct Tree : Model {};
struct Softmax : Model {};

void set_matrices(Model& model, const py::object& vectors, const py::object& outputs, const char* name, bool tree) {
  with_dtype<float, double>(vectors, "vectors", [&](auto zero) {
    using T = decltype(zero);
    const Array<const T> x = input<T>(vectors, "vectors", 2), o = input<T>(outputs, name, 2);
    if (x.shape(0) < 1 || x.shape(1) < 1)
      throw boundary_error("vectors: expected at least one row and column, got " + describe(vectors));
    if (o.shape(0) != x.shape(0) - (tree ? 1 : 0) || o.shape(1) != x.shape(1))
      throw boundary_error(std::string(name) + ": expected shape [" + std::to_string(x.shape(0) - (tree ? 1 : 0)) +
                           ", " + std::to_string(x.shape(1)) + "], got " + describe(outputs));
    model.n_words = x.shape(0);
    model.dim = x.shape(1);
  });
  model.vectors = vectors;
  model.outputs = outputs;
}

Tree make_tree(const py::object& vectors, const py::object& theta, const py::object& path_ptr,
               const py::object& path_node, const py::object& path_code) {
  Tree model;
  set_matrices(model, vectors, theta, "theta", true);
  model.ptr = input<std::int64_t>(path_ptr, "path_ptr");
  model.node = input<std::uint32_t>(path_node, "path_node");
  model.code = input<std::uint8_t>(path_code, "path_code");
  const NativeCall call;
  check_paths({model.ptr, model.node, model.code}, model.n_words);
  return model;
}

Softmax make_softmax(const py::object& vectors, const py::object& outputs, const py::object& bias) {
  Softmax model;
  set_matrices(model, vectors, outputs, "output_vectors", false);
  model.bias = input<double>(bias, "bias");
  if (model.bias.size != model.n_words)
    throw boundary_error("bias: expected " + std::to_string(model.n_words) + " entries, got " + describe(bias));
  return model;
}

/// Calls use with the core's model of the dtype in question.
template <class Use>
void with_model(const Tree& m, const Use& use) {
  with_dtype<float, double>(m.vectors, "vectors", [&](auto zero) {
    using T = decltype(zero);
    use(TreeModel<T>{input<T>(m.vectors, "vectors", 2).data, input<T>(m.outputs, "theta", 2).data, m.n_words, m.dim,
                     Paths{m.ptr, m.node, m.code}});
  });
}
template <class Use>
void with_model(const Softmax& m, const Use& use) {
  with_dtype<float, double>(m.vectors, "vectors", [&](auto zero) {
    using T = decltype(zero);
    use(SoftmaxModel<T>{input<T>(m.vectors, "vectors", 2).data, input<T>(m.outputs, "output_vectors", 2).data,
                        m.n_words, m.dim, m.bias});
  });
}

/// Offsets of lists of which the last ends at `size`.
void check_offsets(const Array<const std::int64_t>& ptr, const char* argument, std::size_t size) {
  bool good = ptr.size > 0 && ptr.data[0] == 0 && ptr.data[ptr.size - 1] == static_cast<std::int64_t>(size);
  for (std::size_t i = 1; good && i < ptr.size; ++i) good = ptr.data[i - 1] <= ptr.data[i];
  if (!good)
    throw boundary_error(std::string(argument) + ": expected offsets that ascend from 0 to " + std::to_string(size));
}
std::vector<std::int64_t> checked_ids(const Array<const std::int64_t>& ids, const char* argument, std::size_t n_words) {
  std::vector<std::int64_t> copy(ids.data, ids.data + ids.size);
  for (std::size_t i = 0; i < copy.size(); ++i)
    if (copy[i] < 0 || static_cast<std::uint64_t>(copy[i]) >= n_words)
      throw value_error(std::string(argument) + ": expected ids from 0 to " + std::to_string(n_words - 1) + ", got " +
                        std::to_string(copy[i]) + " at position " + std::to_string(i));
  return copy;
}
void check_size(std::size_t size, const char* argument, std::size_t expected) {
  if (size != expected)
    throw boundary_error(std::string(argument) + ": expected " + std::to_string(expected) + " entries, got " +
                         std::to_string(size));
}

template <class Kind>
void scores_of(const Kind& m, const py::object& text_ptr, const py::object& words, const py::object& counts,
               const py::object& candidate_ptr, const py::object& candidates, bool self_term, const py::object& out,
               unsigned n_threads) {
  const Array<const std::int64_t> texts = input<std::int64_t>(text_ptr, "text_ptr");
  const Array<const std::int64_t> of = input<std::int64_t>(candidate_ptr, "candidate_ptr");
  const Array<const std::int64_t> word_ids = input<std::int64_t>(words, "words");
  const Array<const std::int64_t> candidate_ids = input<std::int64_t>(candidates, "candidates");
  const Array<const double> times = input<double>(counts, "counts");
  const Array<double> result = output<double>(out, "out");
  check_offsets(texts, "text_ptr", word_ids.size);
  check_offsets(of, "candidate_ptr", candidate_ids.size);
  check_size(of.size, "candidate_ptr", texts.size);
  check_size(times.size, "counts", word_ids.size);
  check_size(result.size, "out", candidate_ids.size);
  const std::vector<std::int64_t> checked_words = checked_ids(word_ids, "words", m.n_words);
  const std::vector<std::int64_t> checked_candidates = checked_ids(candidate_ids, "candidates", m.n_words);
  with_model(m, [&](const auto& model) {
    const NativeCall call;
    scores(model, Texts{texts, checked_words, times, checked_candidates, of}, self_term, result.data, n_threads);
  });
}

template <class Kind>
void log_probabilities_of(const Kind& m, const py::object& of, const py::object& given, const py::object& out,
                          unsigned n_threads) {
  const std::vector<std::int64_t> u = checked_ids(input<std::int64_t>(of, "of"), "of", m.n_words);
  const std::vector<std::int64_t> w = checked_ids(input<std::int64_t>(given, "given"), "given", m.n_words);
  const Array<double> result = output<double>(out, "out");
  check_size(w.size(), "given", u.size());
  check_size(result.size, "out", u.size());
  with_model(m, [&](const auto& model) {
    const NativeCall call;
    log_probabilities(model, u, w, result.data, n_threads);
  });
}

template <class Kind>
void def_methods(py::class_<Kind>& type) {
  type.def("scores", &scores_of<Kind>, py::arg("text_ptr"), py::arg("words"), py::arg("counts"),
           py::arg("candidate_ptr"), py::arg("candidates"), py::arg("self_term").noconvert(), py::arg("out"), py::arg("n_threads"))
      .def("log_probabilities", &log_probabilities_of<Kind>, py::arg("of"), py::arg("given"), py::arg("out"),
           py::arg("n_threads"));
}

}  // namespace

void register_keywords(py::module_& m) {
  py::class_<Tree> tree(m, "Tree", "A skip-gram model with hierarchical softmax.");
  tree.def(py::init(&make_tree), py::arg("vectors"), py::arg("theta"), py::arg("path_ptr"), py::arg("path_node"),
           py::arg("path_code"));
  def_methods(tree);
  py::class_<Softmax> softmax(m, "Softmax", "A skip-gram model with one output vector a word.");
  softmax.def(py::init(&make_softmax), py::arg("vectors"), py::arg("output_vectors"), py::arg("bias"));
  def_methods(softmax);
}

}  // namespace likewise::bindings
