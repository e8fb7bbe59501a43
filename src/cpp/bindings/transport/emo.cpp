#include "likewise/transport/emo.hpp"

#include <algorithm>
#include <utility>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"

namespace py = pybind11;

namespace likewise::bindings {
namespace {

using transport::EmoMixing;
using transport::EmoTokens;
using transport::Mixing;

constexpr std::pair<const char*, Mixing> kMixings[] = {
    {"none", Mixing::none},       {"balanced", Mixing::balanced},
    {"balanced-clamped", Mixing::balanced_clamped}, {"rescaled-mle", Mixing::rescaled_mle},
    {"patch-1", Mixing::patch_1}, {"patch-1-clamped", Mixing::patch_1_clamped},
    {"patch-2", Mixing::patch_2}, {"sum", Mixing::sum}};

Mixing mixing_named(const std::string& name) {
  const auto* const known = std::find_if(std::begin(kMixings), std::end(kMixings),
                                         [&](const auto& entry) { return name == entry.first; });
  if (known == std::end(kMixings))
    throw value_error("mixing: expected none, balanced, balanced-clamped, rescaled-mle, patch-1, patch-1-clamped, "
                      "patch-2 or sum, got '" + name + "'");
  return known->second;
}

void check_length(std::size_t length, std::size_t expected, const char* argument, const py::handle& value) {
  if (length != expected)
    throw boundary_error(std::string(argument) + ": expected length " + std::to_string(expected) + ", got " +
                         describe(value));
}

py::tuple emo(const py::object& logits, const py::object& rows, const py::object& targets,
                 const py::object& soft_targets, const py::object& cosines, const py::object& cached,
                 const py::object& inverse_norms, const std::string& mixing, double alpha, double beta, double scale,
                 const py::object& out, unsigned n_threads) {
  return with_dtype<float, double>(logits, "logits", [&](auto zero) {
    using T = decltype(zero);
    const Array<const T> z = input<T>(logits, "logits", 2);
    EmoTokens<T> tokens;
    tokens.n = z.shape(0);
    tokens.n_vocabulary = z.shape(1);
    tokens.logits = z.data;
    const auto table = [&](const py::object& value, const char* argument, std::size_t* n) {
      const Array<const T> a = input<T>(value, argument, 2);
      check_length(a.shape(1), tokens.n_vocabulary, argument, value);
      *n = a.shape(0);
      return a.data;
    };
    std::size_t n_soft = 0;
    tokens.cosines = table(cosines, "cosines", &tokens.n_cosines);
    tokens.cached = table(cached, "cached", &tokens.n_cached);
    const T* const soft = table(soft_targets, "soft_targets", &n_soft);
    if (n_soft > 0) {  // no rows: one target each
      check_length(n_soft, tokens.n, "soft_targets", soft_targets);
      tokens.soft_targets = soft;
    }
    const Array<const std::int64_t> row = input<std::int64_t>(rows, "rows"),
                                    target = input<std::int64_t>(targets, "targets");
    check_length(row.size, tokens.n, "rows", rows);
    check_length(target.size, tokens.n, "targets", targets);
    tokens.rows = row.data;
    tokens.targets = target.data;
    const Array<const T> norms = input<T>(inverse_norms, "inverse_norms");
    check_length(norms.size, tokens.n_vocabulary, "inverse_norms", inverse_norms);
    tokens.inverse_norms = norms.data;
    const Array<T> gradient = output<T>(out, "out", 2);
    check_length(gradient.shape(0), tokens.n, "out", out);
    check_length(gradient.shape(1), tokens.n_vocabulary, "out", out);
    const EmoMixing how{mixing_named(mixing), alpha, beta, scale};
    py::array_t<double> numbers({std::size_t{3}, tokens.n});
    double* const first = numbers.mutable_data();
    const transport::EmoResults results{first, first + tokens.n, first + 2 * tokens.n};
    std::int64_t wrong = -1;
    {
      const NativeCall call;
      wrong = transport::emo(tokens, how, gradient.data, results, n_threads);
    }
    return py::make_tuple(numbers, wrong);
  });
}

void row_squares(const py::object& x, const py::object& out, unsigned n_threads) {
  with_dtype<float, double>(x, "X", [&](auto zero) {
    using T = decltype(zero);
    const Array<const T> rows = input<T>(x, "X", 2);
    const Array<double> squares = output<double>(out, "out");
    check_length(squares.size, rows.shape(0), "out", out);
    const NativeCall call;
    transport::row_squares(rows.data, rows.shape(0), rows.shape(1), squares.data, n_threads);
  });
}

}  // namespace

void register_transport_emo(py::module_& m) {
  m.def("emo", &emo, py::arg("logits"), py::arg("rows"), py::arg("targets"), py::arg("soft_targets"),
        py::arg("cosines"), py::arg("cached"), py::arg("inverse_norms"), py::arg("mixing"), py::arg("alpha"),
        py::arg("beta"), py::arg("scale"), py::arg("out"), py::arg("n_threads"),
        "Losses and gradient of tokens from rows of cosines, which the gradient `out` may replace. Returns losses, "
        "cross entropies and transport costs as the rows of an array, and the first token whose logits have no loss, "
        "or -1.");
  m.def("row_squares", &row_squares, py::arg("X"), py::arg("out"), py::arg("n_threads"),
        "out[i] = the sum of squares of row i.");
}

}  // namespace likewise::bindings
