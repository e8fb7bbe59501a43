// Scores of many words of a text at once. For the tree, a text collapses onto the inner nodes of its words' paths: node n
// counts for A_n, the occurrences of words below it, of which B_n turn to code 1, and
//   -s(w) = sum over n of A_n softplus(-D) + B_n D,   D = x_w . theta_n,
// so that each pair of word and node is one dot product and one softplus, however often a word occurs.
#include "likewise/keywords.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "core/dispatch.hpp"
#include "core/thread_pool.hpp"

namespace likewise::keywords {
namespace {

constexpr std::size_t kRowsAtOnce = 480;  // rows that stay in the second cache while panel after panel meets them

template <class T>
const kernels::KeywordKernels<T>& kernels_of() {
  if constexpr (sizeof(T) == 4) {
    return kernel_table().keywords.f32;
  } else {
    return kernel_table().keywords.f64;
  }
}

template <class T>
double dot(const T* a, const T* b, std::size_t n) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

double softplus(double t) { return std::max(t, 0.0) + std::log1p(std::exp(-std::abs(t))); }

template <class T>
double log_probability(const TreeModel<T>& model, std::size_t of, std::size_t given) {
  double sum = 0;
  for (auto j = static_cast<std::size_t>(model.paths.ptr[of]); j < static_cast<std::size_t>(model.paths.ptr[of + 1]);
       ++j) {
    const double d = dot(model.vectors + given * model.dim, model.theta + model.paths.node[j] * model.dim, model.dim);
    sum -= softplus(model.paths.code[j] == 0 ? -d : d);
  }
  return sum;
}

/// Words side by side in panels of two registers, the last of one if that is enough; filled up with zeros.
template <class T>
class Panels {
 public:
  struct Panel {
    const T* values;
    std::size_t first, width;  // words
    bool wide;
  };

  Panels(const T* vectors, std::size_t dimension, const std::int64_t* words, std::size_t n, std::size_t lanes)
      : dim(dimension),
        width(lanes),
        n_words((n + lanes - 1) / lanes * lanes),
        n_panels((n_words / lanes + 1) / 2),
        values_(n_words * dimension) {
    for (std::size_t p = 0; p < n_panels; ++p) {
      const Panel panel = (*this)[p];
      T* const to = values_.data() + panel.first * dim;
      for (std::size_t l = 0; l < std::min(panel.width, n - panel.first); ++l) {
        const T* const x = vectors + static_cast<std::size_t>(words[panel.first + l]) * dim;
        for (std::size_t c = 0; c < dim; ++c) to[c * panel.width + l] = x[c];
      }
    }
  }

  Panel operator[](std::size_t p) const {
    const std::size_t first = 2 * p * width, n = std::min(2 * width, n_words - first);
    return {values_.data() + first * dim, first, n, n > width};
  }

  const std::size_t dim, width, n_words, n_panels;  // n_words: filled up

 private:
  std::vector<T> values_;
};

std::size_t entry(span<const std::int64_t> ptr, std::size_t i) { return static_cast<std::size_t>(ptr[i]); }

/// The inner nodes on the paths of a text's words, in the order of their first use.
template <class T>
struct Nodes {
  std::vector<std::uint32_t> node;
  std::vector<const T*> rows;
  std::vector<double> weights, ones;  // A and B

  std::vector<std::uint32_t> place;  // of a node in the lists, from 1; all zero between texts

  void collect(const TreeModel<T>& model, const std::int64_t* words, const double* counts, std::size_t n) {
    place.resize(model.n_words);
    node.clear();
    rows.clear();
    weights.clear();
    ones.clear();
    for (std::size_t i = 0; i < n; ++i) {
      const auto word = static_cast<std::size_t>(words[i]);
      for (std::size_t j = entry(model.paths.ptr, word); j < entry(model.paths.ptr, word + 1); ++j) {
        std::uint32_t& at = place[model.paths.node[j]];
        if (at == 0) {
          node.push_back(model.paths.node[j]);
          const T* const row = model.theta + model.paths.node[j] * model.dim;
          constexpr std::size_t kLine = 64 / sizeof(T);
          for (std::size_t c = 0; c < model.dim; c += kLine) __builtin_prefetch(row + c);  // rows lie far apart
          rows.push_back(row);
          weights.push_back(0);
          ones.push_back(0);
          at = static_cast<std::uint32_t>(rows.size());
        }
        weights[at - 1] += counts[i];
        if (model.paths.code[j] == 1) ones[at - 1] += counts[i];
      }
    }
  }
  void forget() {
    for (const std::uint32_t n : node) place[n] = 0;
  }

  /// The score of a word without its own `count` occurrences, in double precision throughout.
  double without(const TreeModel<T>& model, std::size_t word, double count) const {
    std::vector<double> less(rows.size(), 0), less_ones(rows.size(), 0);
    for (std::size_t j = entry(model.paths.ptr, word); j < entry(model.paths.ptr, word + 1); ++j) {
      const std::size_t at = place[model.paths.node[j]] - 1;
      less[at] += count;
      if (model.paths.code[j] == 1) less_ones[at] += count;
    }
    double sum = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const double weight = weights[i] - less[i], one = ones[i] - less_ones[i];
      if (weight == 0) continue;
      const double d = dot(model.vectors + word * model.dim, rows[i], model.dim);
      sum -= (weight - one) * softplus(-d) + one * softplus(d);
    }
    return sum;
  }
};

/// Calls each_panel(first panel, number of panels) so that all are covered, on several threads if there are any.
template <class Body>
void over_panels(std::size_t n_panels, unsigned n_threads, const Body& body) {
  constexpr std::size_t kPanelsAPiece = 4;
  const std::size_t n_pieces = n_threads <= 1 ? 1 : (n_panels + kPanelsAPiece - 1) / kPanelsAPiece;
  parallel_for(n_pieces, n_threads, [&](std::size_t piece) {
    const std::size_t first = n_panels * piece / n_pieces;
    body(first, n_panels * (piece + 1) / n_pieces - first);
  });
}

/// Calls each(text, scratch) for every text: one after the other for a single one, so that its panels can be shared out.
template <class Scratch, class Each>
void over_texts(const Texts& texts, unsigned n_threads, const Each& each) {
  const std::size_t n = texts.text_ptr.size - 1;
  if (n == 1) {
    Scratch scratch;
    each(0, scratch);
    return;
  }
  const std::size_t groups = std::min<std::size_t>(n, n_threads <= 1 ? 1 : std::size_t{8} * n_threads);
  parallel_for(groups, n_threads, [&](std::size_t group) {
    Scratch scratch;
    for (std::size_t t = n * group / groups; t < n * (group + 1) / groups; ++t) {
      poll_interrupt();
      each(t, scratch);
    }
  });
}

/// How often word `of` stands in the sorted list of (word, count).
double count_of(const std::vector<std::pair<std::int64_t, double>>& counts, std::int64_t of) {
  const auto found = std::lower_bound(counts.begin(), counts.end(), std::make_pair(of, -1.0));
  return found != counts.end() && found->first == of ? found->second : 0;
}
std::vector<std::pair<std::int64_t, double>> sorted_counts(const Texts& texts, std::size_t begin, std::size_t end) {
  std::vector<std::pair<std::int64_t, double>> counts;
  for (std::size_t i = begin; i < end; ++i) counts.emplace_back(texts.words[i], texts.counts[i]);
  std::sort(counts.begin(), counts.end());
  return counts;
}

/// lse[i] = log of the sum over all words u of e^(x . o_u + bias_u) for the i-th of these words.
template <class T>
std::vector<double> log_sums(const SoftmaxModel<T>& model, const std::int64_t* words, std::size_t n,
                             unsigned n_threads) {
  const kernels::KeywordKernels<T>& kernel = kernels_of<T>();
  const Panels<T> panels(model.vectors, model.dim, words, n, kernel.width);
  std::vector<double> top(panels.n_words, -std::numeric_limits<double>::infinity()), sum(panels.n_words, 0);
  over_panels(panels.n_panels, n_threads, [&](std::size_t first, std::size_t count) {
    std::vector<T> largest(2 * kernel.width), found(2 * kernel.width), biases(kRowsAtOnce);
    std::vector<const T*> rows(kRowsAtOnce);
    for (std::size_t u = 0; u < model.n_words; u += kRowsAtOnce) {
      poll_interrupt();
      const std::size_t n_rows = std::min(kRowsAtOnce, model.n_words - u);
      for (std::size_t r = 0; r < n_rows; ++r) {
        rows[r] = model.outputs + (u + r) * model.dim;
        biases[r] = static_cast<T>(model.bias[u + r]);
      }
      for (std::size_t p = first; p < first + count; ++p) {
        const auto panel = panels[p];
        kernel.sum_exponentials[panel.wide](rows.data(), biases.data(), n_rows, model.dim, panel.values, largest.data(),
                                            found.data());
        for (std::size_t l = 0; l < panel.width; ++l) {
          double &t = top[panel.first + l], &s = sum[panel.first + l];
          const double block_top = static_cast<double>(largest[l]), higher = std::max(t, block_top);
          s = s * std::exp(t - higher) + static_cast<double>(found[l]) * std::exp(block_top - higher);
          t = higher;
        }
      }
    }
  });
  std::vector<double> lse(n);
  for (std::size_t i = 0; i < n; ++i) lse[i] = top[i] + std::log(sum[i]);
  return lse;
}

/// The log sums of words, each computed once however often it is asked for: they cost a pass over the vocabulary, and
/// do not depend on the text.
class LogSums {
 public:
  template <class T>
  LogSums(const SoftmaxModel<T>& model, span<const std::int64_t> words, unsigned n_threads)
      : words_(words.begin(), words.end()) {
    std::sort(words_.begin(), words_.end());
    words_.erase(std::unique(words_.begin(), words_.end()), words_.end());
    values_ = log_sums(model, words_.data(), words_.size(), n_threads);
  }

  double operator[](std::int64_t word) const {
    return values_[static_cast<std::size_t>(std::lower_bound(words_.begin(), words_.end(), word) - words_.begin())];
  }

 private:
  std::vector<std::int64_t> words_;
  std::vector<double> values_;
};

}  // namespace

void check_paths(const Paths& paths, std::size_t n_words) {
  if (paths.ptr.size != n_words + 1)
    throw value_error("path_ptr: expected " + std::to_string(n_words + 1) + " entries, got " +
                      std::to_string(paths.ptr.size));
  if (paths.ptr[0] != 0) throw value_error("path_ptr: expected to start at 0, got " + std::to_string(paths.ptr[0]));
  for (std::size_t w = 0; w < n_words; ++w)
    if (paths.ptr[w + 1] < paths.ptr[w])
      throw value_error("path_ptr: expected not to decrease, got " + std::to_string(paths.ptr[w + 1]) + " after " +
                        std::to_string(paths.ptr[w]) + " at position " + std::to_string(w + 1));
  if (static_cast<std::uint64_t>(paths.ptr[n_words]) != paths.node.size)
    throw value_error("path_ptr: expected to end at the length of path_node (" + std::to_string(paths.node.size) +
                      "), got " + std::to_string(paths.ptr[n_words]));
  if (paths.code.size != paths.node.size)
    throw value_error("path_code: expected as many entries as path_node (" + std::to_string(paths.node.size) +
                      "), got " + std::to_string(paths.code.size));
  for (std::size_t j = 0; j < paths.node.size; ++j) {
    if (paths.code[j] > 1)
      throw value_error("path_code: expected 0 or 1, got " + std::to_string(paths.code[j]) + " at position " +
                        std::to_string(j));
#if defined(LIKEWISE_PLANTED_DEFECT)  // fuzzing must find it
    const bool outside = std::uint64_t{paths.node[j]} >= n_words;
#else
    const bool outside = std::uint64_t{paths.node[j]} + 1 >= n_words;
#endif
    if (outside)
      throw value_error("path_node: expected below " + std::to_string(n_words - 1) + " (the number of words less 1), got " +
                        std::to_string(paths.node[j]) + " at position " + std::to_string(j));
  }
  // The tree of the code words: a full one has as many inner nodes as words, less 1.
  constexpr std::uint32_t kNone = 0xFFFFFFFF;
  struct Inner {
    std::uint32_t label, child[2];  // the inner node behind a code; kNone: nothing there
    bool leaf[2];
  };
  std::vector<Inner> inner;
  const auto refuse = [](std::size_t word, const char* what) {
    throw value_error("path_code: expected the code words of a full binary tree with one word a leaf, got " +
                      std::string(what) + " at word " + std::to_string(word));
  };
  for (std::size_t w = 0; w < n_words; ++w) {
    const std::size_t begin = entry(paths.ptr, w), end = entry(paths.ptr, w + 1);
    if (begin == end && n_words > 1) refuse(w, "an empty one");
    std::uint32_t at = 0;
    for (std::size_t j = begin; j < end; ++j) {
      if (inner.size() == at) inner.push_back({paths.node[j], {kNone, kNone}, {false, false}});
      if (inner.size() >= n_words) refuse(w, "a Kraft sum below 1");
      if (inner[at].label != paths.node[j])
        throw value_error("path_node: expected words whose codes begin alike to share nodes, got " +
                          std::to_string(paths.node[j]) + " after " + std::to_string(inner[at].label) +
                          " at position " + std::to_string(j));
      const std::uint8_t code = paths.code[j];
      if (inner[at].leaf[code]) refuse(w, j + 1 == end ? "a duplicate" : "one that begins with another");
      if (j + 1 == end) {
        if (inner[at].child[code] != kNone) refuse(w, "one with which another begins");
        inner[at].leaf[code] = true;
      } else {
        if (inner[at].child[code] == kNone) inner[at].child[code] = static_cast<std::uint32_t>(inner.size());
        at = inner[at].child[code];
      }
    }
  }
  if (inner.size() + 1 != n_words) refuse(n_words - 1, "a Kraft sum other than 1");
}

template <class T>
void scores(const TreeModel<T>& model, const Texts& texts, bool self_term, double* out, unsigned n_threads) {
  const kernels::KeywordKernels<T>& kernel = kernels_of<T>();
  over_texts<Nodes<T>>(texts, n_threads, [&](std::size_t t, Nodes<T>& nodes) {
    const std::size_t begin = entry(texts.text_ptr, t), end = entry(texts.text_ptr, t + 1);
    const std::size_t from = entry(texts.candidate_ptr, t), n = entry(texts.candidate_ptr, t + 1) - from;
    const std::int64_t* const candidates = texts.candidates.data + from;
    nodes.collect(model, texts.words.data + begin, texts.counts.data + begin, end - begin);
    const std::vector<T> weights(nodes.weights.begin(), nodes.weights.end());
    const std::vector<T> ones(nodes.ones.begin(), nodes.ones.end());
    const Panels<T> panels(model.vectors, model.dim, candidates, n, kernel.width);
    std::vector<double> sums(panels.n_words, 0);
    over_panels(panels.n_panels, n_threads, [&](std::size_t first, std::size_t count) {
      for (std::size_t r = 0; r < nodes.rows.size(); r += kRowsAtOnce) {
        poll_interrupt();
        const std::size_t n_rows = std::min(kRowsAtOnce, nodes.rows.size() - r);
        for (std::size_t p = first; p < first + count; ++p) {
          const auto panel = panels[p];
          kernel.add_tree[panel.wide](nodes.rows.data() + r, weights.data() + r, ones.data() + r, n_rows, model.dim,
                                      panel.values, sums.data() + panel.first);
        }
      }
    });
    for (std::size_t i = 0; i < n; ++i) out[from + i] = -sums[i];
    if (!self_term) {
      const auto counts = sorted_counts(texts, begin, end);
      for (std::size_t i = 0; i < n; ++i) {
        const double count = count_of(counts, candidates[i]);
        if (count == 0) continue;
        const auto word = static_cast<std::size_t>(candidates[i]);
        const double own = count * log_probability(model, word, word), all = out[from + i];
        // Where most of the sum is taken away, its rounding would be most of what is left.
        out[from + i] = own < all / 2 ? nodes.without(model, word, count) : all - own;
      }
    }
    nodes.forget();
  });
}

template <class T>
void scores(const SoftmaxModel<T>& model, const Texts& texts, bool self_term, double* out, unsigned n_threads) {
  const LogSums lse(model, texts.candidates, n_threads);
  struct Nothing {};
  over_texts<Nothing>(texts, n_threads, [&](std::size_t t, Nothing&) {
    const std::size_t begin = entry(texts.text_ptr, t), end = entry(texts.text_ptr, t + 1);
    const std::size_t from = entry(texts.candidate_ptr, t), n = entry(texts.candidate_ptr, t + 1) - from;
    const std::int64_t* const candidates = texts.candidates.data + from;
    std::vector<double> output(model.dim, 0);  // sum of the text's output vectors
    double bias = 0, length = 0;
    for (std::size_t i = begin; i < end; ++i) {
      const auto word = static_cast<std::size_t>(texts.words[i]);
      const T* o = model.outputs + word * model.dim;
      for (std::size_t c = 0; c < model.dim; ++c) output[c] += texts.counts[i] * static_cast<double>(o[c]);
      bias += texts.counts[i] * model.bias[word];
      length += texts.counts[i];
    }
    const auto counts = self_term ? std::vector<std::pair<std::int64_t, double>>{} : sorted_counts(texts, begin, end);
    std::vector<double> others(model.dim);
    for (std::size_t i = 0; i < n; ++i) {
      const auto word = static_cast<std::size_t>(candidates[i]);
      const T *x = model.vectors + word * model.dim, *o = model.outputs + word * model.dim;
      const double own = self_term ? 0 : count_of(counts, candidates[i]);
      double sum = bias - own * model.bias[word] - (length - own) * lse[candidates[i]];
      for (std::size_t c = 0; c < model.dim; ++c)
        sum += static_cast<double>(x[c]) * (output[c] - own * static_cast<double>(o[c]));
      out[from + i] = own == length ? 0 : sum;
    }
  });
}

template <class T>
void log_probabilities(const TreeModel<T>& model, span<const std::int64_t> of, span<const std::int64_t> given,
                       double* out, unsigned) {
  for (std::size_t i = 0; i < of.size; ++i) {
    if (i % 4096 == 0) poll_interrupt();
    out[i] = log_probability(model, static_cast<std::size_t>(of[i]), static_cast<std::size_t>(given[i]));
  }
}

template <class T>
void log_probabilities(const SoftmaxModel<T>& model, span<const std::int64_t> of, span<const std::int64_t> given,
                       double* out, unsigned n_threads) {
  const LogSums lse(model, given, n_threads);
  for (std::size_t i = 0; i < of.size; ++i) {
    const auto u = static_cast<std::size_t>(of[i]), w = static_cast<std::size_t>(given[i]);
    out[i] = dot(model.vectors + w * model.dim, model.outputs + u * model.dim, model.dim) + model.bias[u] - lse[given[i]];
  }
}

#define LIKEWISE_INSTANTIATE(T)                                                                                      \
  template void scores(const TreeModel<T>&, const Texts&, bool, double*, unsigned);                                 \
  template void scores(const SoftmaxModel<T>&, const Texts&, bool, double*, unsigned);                              \
  template void log_probabilities(const TreeModel<T>&, span<const std::int64_t>, span<const std::int64_t>, double*,  \
                                  unsigned);                                                                         \
  template void log_probabilities(const SoftmaxModel<T>&, span<const std::int64_t>, span<const std::int64_t>,       \
                                  double*, unsigned);
LIKEWISE_INSTANTIATE(float)
LIKEWISE_INSTANTIATE(double)

}  // namespace likewise::keywords
