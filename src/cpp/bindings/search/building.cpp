#include "likewise/search/building.hpp"

#include <pybind11/stl.h>

#include <memory>
#include <string>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/search/scanning.hpp"
#include "bindings/search/texts.hpp"
#include "core/search/text_totals.hpp"
#include "core/search/unicode.hpp"

namespace py = pybind11;

namespace likewise::bindings {
namespace {

using search::Analysis;
using search::Analyzer;
using search::Builder;
using search::Scanner;

std::shared_ptr<Analyzer> make_analyzer(const std::string& words, bool lowercase, const std::string& cjk,
                                        std::uint32_t min_length, std::uint32_t max_length, const py::list& stopwords) {
  Analysis a;
  if (words == "unicode") {
    a.words = search::Words::unicode;
  } else if (words == "plain") {
    a.words = search::Words::plain;
  } else if (words == "given") {
    a.words = search::Words::given;
  } else {
    throw boundary_error("words: expected unicode, plain or given, got '" + words + "'");
  }
  if (cjk == "bigram") {
    a.cjk = search::Cjk::bigram;
  } else if (cjk == "unigram+bigram") {
    a.cjk = search::Cjk::unigram_bigram;
  } else if (cjk == "whole") {
    a.cjk = search::Cjk::whole;
  } else if (cjk == "segmenter") {
    a.cjk = search::Cjk::segmenter;
  } else {
    throw boundary_error("cjk: expected bigram, unigram+bigram, whole or segmenter, got '" + cjk + "'");
  }
  a.lowercase = lowercase;
  a.min_length = min_length;
  a.max_length = max_length;
  Texts forms("stopwords");
  for (const py::handle& word : stopwords) forms.add(word.ptr());
  a.stopwords.assign(forms.views().begin(), forms.views().end());
  return std::make_shared<Analyzer>(std::move(a));
}

py::list forms_of(const Analyzer& analyzer, const py::object& text) {
  const std::vector<std::string> forms =
      with_text(text, "text", [&](std::string_view view) { return analyzer.forms(view); });
  py::list out(forms.size());
  for (std::size_t i = 0; i < forms.size(); ++i) out[i] = str_of(forms[i]);
  return out;
}

py::list tokens_of(const Analyzer& analyzer, const py::object& text) {
  const std::vector<search::Token> tokens =
      with_text(text, "text", [&](std::string_view view) { return analyzer.tokens(view); });
  py::list out(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i)
    out[i] = py::make_tuple(str_of(tokens[i].form), tokens[i].begin, tokens[i].end);
  return out;
}

py::list pieces_of(const Analyzer& analyzer, const py::object& text) {
  const std::vector<search::Piece> pieces =
      with_text(text, "text", [&](std::string_view view) { return analyzer.pieces(view); });
  py::list out(pieces.size());
  for (std::size_t i = 0; i < pieces.size(); ++i)
    out[i] = py::make_tuple(pieces[i].begin, pieces[i].end, pieces[i].han);
  return out;
}

/// The form of each token, or None where it is dropped.
py::list normalise(const Analyzer& analyzer, const py::list& tokens) {
  Texts texts("tokens");
  for (const py::handle& token : tokens) texts.add(token.ptr());
  py::list out(texts.views().size());
  std::string form;
  for (std::size_t i = 0; i < texts.views().size(); ++i) {
    const bool kept = analyzer.form(texts.views()[i], form) == Analyzer::Verdict::kept;
    out[i] = kept ? py::object(str_of(form)) : py::object(py::none());
  }
  return out;
}

using PyBuilder = Guarded<Builder>;

/// As a scan reads them, without looking for words: (number of texts, bytes, a sum over them).
py::tuple add_up(const py::list& texts) {
  search::TextTotals totals;
  for (std::size_t at = 0; at < texts.size();) {
    Texts chunk("texts", at);
    for (; at < texts.size() && chunk.bytes() < kChunkBytes; ++at)
      chunk.add(PyList_GET_ITEM(texts.ptr(), static_cast<py::ssize_t>(at)));
    const NativeCall call;
    totals.add(chunk.views());
  }
  return py::make_tuple(totals.n_texts, totals.n_bytes, totals.sum);
}

/// Scans whole documents from texts[start] on, about kChunkBytes bytes of them, and returns where the next call starts.
std::size_t scan(PyScanner& self, const py::list& texts, std::size_t start, std::size_t n_parts,
                 std::size_t first_position, const char* argument, search::TextStore* store, unsigned n_threads) {
  const Use use(self);
  if (n_parts == 0) throw boundary_error("n_parts: expected at least 1");
  Texts chunk(argument, first_position + start / n_parts, n_parts);
  std::size_t at = start;
  // The list may be changed by other threads between calls: its length is read again for each text.
  while (at < texts.size() && (chunk.bytes() < kChunkBytes || (at - start) % n_parts != 0)) {
    chunk.add(PyList_GET_ITEM(texts.ptr(), static_cast<py::ssize_t>(at)));
    ++at;
  }
  if ((at - start) % n_parts != 0) throw boundary_error("texts: expected whole documents");
  const NativeCall call;
  self.object.scan(chunk.views(), n_parts, n_threads);
  if (store != nullptr) store->add(chunk.views(), n_parts);
  return at;
}

/// The same for documents that are lists or tuples of tokens.
std::size_t scan_tokens(PyScanner& self, const py::list& documents, std::size_t start, std::size_t first_position,
                        const char* argument) {
  const Use use(self);
  Texts tokens(argument);
  std::size_t at = start, bytes = 0;
  for (; at < documents.size() && bytes < kChunkBytes; ++at) {
    const py::object document = documents[at];
    if (!PyList_Check(document.ptr()) && !PyTuple_Check(document.ptr()))
      throw boundary_error(std::string(argument) + ": expected lists or tuples of tokens");
    const py::ssize_t n = PySequence_Fast_GET_SIZE(document.ptr());
    for (py::ssize_t i = 0; i < n; ++i) {
      PyObject* token = PySequence_Fast_GET_ITEM(document.ptr(), i);
      if (!PyUnicode_Check(token))
        throw type_error(std::string(argument) + ": expected tokens of type str, got " + Py_TYPE(token)->tp_name +
                         " at index " + std::to_string(first_position + at) + ", token " + std::to_string(i));
      tokens.add(token);
    }
    self.object.add_tokens(tokens.views());
    bytes += tokens.bytes() + static_cast<std::size_t>(n);
    tokens.clear();
  }
  return at;
}

py::list forms_from(PyScanner& self, std::size_t first) {
  const Use use(self);
  const std::size_t n = self.object.n_forms();
  if (first > n) throw boundary_error("first: expected a form of the scanner");
  py::list out(n - first);
  for (std::size_t i = first; i < n; ++i) out[i - first] = str_of(self.object.form(i));
  return out;
}

py::tuple take(PyScanner& self) {
  const Use use(self);
  const auto offsets = self.object.offsets();
  const auto forms = self.object.forms();
  auto result = py::make_tuple(array_from(std::vector<std::int64_t>(offsets.begin(), offsets.end())),
                               array_from(std::vector<std::uint32_t>(forms.begin(), forms.end())));
  self.object.clear_documents();
  return result;
}

/// Moves the scanner's documents into the builder. `terms` names the forms that are new to it; None: their own terms.
void add(PyBuilder& self, PyScanner& scanner, const py::object& terms) {
  const Use use(self);
  const Use use_too(scanner);
  const std::size_t known = self.object.n_forms(), n = scanner.object.n_forms();
  if (known > n) throw boundary_error("scanner: expected the one that made the forms");
  Texts names("terms");
  if (!terms.is_none()) {
    if (!py::isinstance<py::list>(terms) || py::len(terms) != n - known)
      throw boundary_error("terms: expected a list with a term for each new form");
    for (const py::handle& term : py::reinterpret_borrow<py::list>(terms)) names.add(term.ptr());
  }
  const NativeCall call;
  for (std::size_t i = known; i < n; ++i)
    self.object.add_form(terms.is_none() ? scanner.object.form(i) : names.views()[i - known]);
  self.object.add(scanner.object.offsets(), scanner.object.forms());
  scanner.object.clear_documents();
}

py::dict finish(PyBuilder& self, PyScanner& scanner) {
  const Use use(self);
  const Use use_too(scanner);
  Builder::Result result;
  {
    const NativeCall call;
    result = self.object.finish(scanner.object);
  }
  py::dict arrays;
  search::for_each_array([&](const char* name, auto& array) { arrays[name] = array_from(std::move(array)); }, result);
  if (!result.form_offsets.empty()) {
    arrays["form_offsets"] = array_from(std::move(result.form_offsets));
    arrays["form_bytes"] = array_from(std::move(result.form_bytes));
  }
  return arrays;
}

void add_texts(search::TextStore& self, const py::list& texts, std::size_t first_position, const char* argument) {
  Texts kept(argument, first_position);
  for (const py::handle& text : texts) kept.add(text.ptr());
  self.add(kept.views(), 1);
}

py::dict finish_texts(search::TextStore& store) {
  search::TextStore::Result result = store.finish();
  py::dict arrays;
  arrays["text_offsets"] = array_from(std::move(result.offsets));
  arrays["text_bytes"] = array_from(std::move(result.bytes));
  return arrays;
}

}  // namespace

void register_building(py::module_& m) {
  m.attr("unicode_version") = search::unicode::version();
  m.def("add_up", &add_up, py::arg("texts"));
  py::class_<Analyzer, std::shared_ptr<Analyzer>>(m, "Analyzer")
      .def(py::init(&make_analyzer), py::kw_only(), py::arg("words"), py::arg("lowercase").noconvert(), py::arg("cjk"),
           py::arg("min_length"), py::arg("max_length"), py::arg("stopwords"))
      .def("forms", &forms_of, py::arg("text"))
      .def("tokens", &tokens_of, py::arg("text"))
      .def("pieces", &pieces_of, py::arg("text"))
      .def("normalise", &normalise, py::arg("tokens"));
  py::class_<search::TextStore>(m, "TextStore")
      .def(py::init<>())
      .def("add", &add_texts, py::arg("texts"), py::kw_only(), py::arg("first_position"),
           py::arg("argument").none(false))
      .def("finish", &finish_texts);
  py::class_<PyScanner>(m, "Scanner")
      .def(py::init([](std::shared_ptr<Analyzer> analyzer) {
             return std::make_unique<PyScanner>(std::move(analyzer));
           }),
           py::arg("analyzer").none(false))
      .def("scan", &scan, py::arg("texts"), py::arg("start"), py::kw_only(), py::arg("n_parts"),
           py::arg("first_position"), py::arg("argument").none(false), py::arg("store").none(true),
           py::arg("n_threads") = 1)
      .def("scan_tokens", &scan_tokens, py::arg("documents"), py::arg("start"), py::kw_only(),
           py::arg("first_position"), py::arg("argument").none(false))
      .def("forms", &forms_from, py::arg("first"))
      .def("take", &take)
      .def_property_readonly("n_forms", [](const PyScanner& s) { return s.object.n_forms(); })
      .def_property_readonly("n_documents", [](const PyScanner& s) { return s.object.offsets().size - 1; })
      .def_property_readonly("n_overlong", [](const PyScanner& s) { return s.object.n_overlong(); });
  py::class_<PyBuilder>(m, "Builder")
      .def(py::init<>())
      .def("add", &add, py::arg("scanner"), py::arg("terms").none(true))
      .def("finish", &finish, py::arg("scanner"))
      .def_property_readonly("n_forms", [](const PyBuilder& b) { return b.object.n_forms(); })
      .def_property_readonly("n_docs", [](const PyBuilder& b) { return b.object.n_docs(); });
}

}  // namespace likewise::bindings
