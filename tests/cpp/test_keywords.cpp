// Keyword scores against plain loops at the CPU level in use, the same bits for threads and for any split into texts, and
// the check of the tree.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "check.hpp"
#include "likewise/keywords.hpp"

namespace {

using likewise::value_error;
using namespace likewise::keywords;

/// A random full binary tree over words, and random vectors.
template <class T>
struct Example {
  std::vector<std::int64_t> ptr{0};
  std::vector<std::uint32_t> node;
  std::vector<std::uint8_t> code;
  std::vector<T> vectors, theta, outputs;
  std::vector<double> bias;
  std::size_t n, dim;

  Example(std::size_t n_words, std::size_t d) : n(n_words), dim(d) {
    std::mt19937_64 random(n_words);
    // Leaves are split one after the other; a split gives the next inner node.
    struct Leaf {
      std::vector<std::uint32_t> nodes;
      std::vector<std::uint8_t> codes;
    };
    std::vector<Leaf> leaves(1);
    for (std::uint32_t inner = 0; leaves.size() < n; ++inner) {
      std::swap(leaves[random() % leaves.size()], leaves.back());
      Leaf zero = leaves.back(), one = leaves.back();
      leaves.pop_back();
      for (Leaf* leaf : {&zero, &one}) leaf->nodes.push_back(inner);
      zero.codes.push_back(0);
      one.codes.push_back(1);
      leaves.push_back(zero);
      leaves.push_back(one);
    }
    for (const Leaf& leaf : leaves) {
      node.insert(node.end(), leaf.nodes.begin(), leaf.nodes.end());
      code.insert(code.end(), leaf.codes.begin(), leaf.codes.end());
      ptr.push_back(static_cast<std::int64_t>(node.size()));
    }
    std::normal_distribution<double> normal(0, 0.5);
    for (auto* matrix : {&vectors, &theta, &outputs}) {
      matrix->resize(n * dim);
      for (T& value : *matrix) value = static_cast<T>(normal(random));
    }
    for (std::size_t i = 0; i < n; ++i) bias.push_back(normal(random));
  }
  Paths paths() const { return {ptr, node, code}; }
  TreeModel<T> tree() const { return {vectors.data(), theta.data(), n, dim, paths()}; }
  SoftmaxModel<T> softmax() const { return {vectors.data(), outputs.data(), n, dim, bias}; }

  double dot(const std::vector<T>& a, std::size_t i, std::size_t j) const {
    double sum = 0;
    for (std::size_t c = 0; c < dim; ++c)
      sum += static_cast<double>(a[i * dim + c]) * static_cast<double>(vectors[j * dim + c]);
    return sum;
  }
  double tree_log_p(std::size_t u, std::size_t w) const {
    double sum = 0;
    for (auto j = static_cast<std::size_t>(ptr[u]); j < static_cast<std::size_t>(ptr[u + 1]); ++j) {
      const double d = dot(theta, node[j], w);
      sum -= std::log1p(std::exp(code[j] == 0 ? -d : d));
    }
    return sum;
  }
  double softmax_log_p(std::size_t u, std::size_t w) const {
    double sum = 0;
    for (std::size_t v = 0; v < n; ++v) sum += std::exp(dot(outputs, v, w) + bias[v]);
    return dot(outputs, u, w) + bias[u] - std::log(sum);
  }
};

struct Lists {
  std::vector<std::int64_t> text_ptr{0}, words, candidates, candidate_ptr{0};
  std::vector<double> counts;
  Texts texts() const { return {text_ptr, words, counts, candidates, candidate_ptr}; }
  void add(const std::vector<std::int64_t>& text, const std::vector<std::int64_t>& chosen) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      words.push_back(text[i]);
      counts.push_back(1.0 + static_cast<double>(i % 3));
    }
    candidates.insert(candidates.end(), chosen.begin(), chosen.end());
    text_ptr.push_back(static_cast<std::int64_t>(words.size()));
    candidate_ptr.push_back(static_cast<std::int64_t>(candidates.size()));
  }
};

/// Texts of 0 to n distinct words, with 0 to n candidates.
Lists example_texts(std::size_t n) {
  Lists lists;
  std::mt19937_64 random(7);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, n / 7, n / 2, n}) {
    std::vector<std::int64_t> words(n), candidates;
    for (std::size_t i = 0; i < n; ++i) words[i] = static_cast<std::int64_t>(i);
    std::shuffle(words.begin(), words.end(), random);
    candidates.assign(words.begin(), words.begin() + static_cast<std::ptrdiff_t>((size * 5) % (n + 1)));
    std::shuffle(words.begin(), words.end(), random);
    words.resize(size);
    lists.add(words, candidates);
  }
  lists.add({0}, {0, 1});
  return lists;
}

template <class Model, class LogP>
void compare(const Model& model, const Lists& lists, const LogP& log_p, double tolerance) {
  for (const bool self_term : {true, false}) {
    std::vector<double> one(lists.candidates.size()), two(one.size());
    scores(model, lists.texts(), self_term, one.data(), 1);
    scores(model, lists.texts(), self_term, two.data(), 3);
    CHECK(std::memcmp(one.data(), two.data(), one.size() * sizeof one[0]) == 0);
    for (std::size_t t = 0; t + 1 < lists.text_ptr.size(); ++t)
      for (auto i = static_cast<std::size_t>(lists.candidate_ptr[t]);
           i < static_cast<std::size_t>(lists.candidate_ptr[t + 1]); ++i) {
        double expected = 0;
        for (auto j = static_cast<std::size_t>(lists.text_ptr[t]); j < static_cast<std::size_t>(lists.text_ptr[t + 1]);
             ++j)
          if (self_term || lists.words[j] != lists.candidates[i])
            expected += lists.counts[j] * log_p(static_cast<std::size_t>(lists.words[j]),
                                                static_cast<std::size_t>(lists.candidates[i]));
        CHECK(std::abs(one[i] - expected) <= tolerance * std::abs(expected));
      }
  }
}

template <class T>
void compare_with_plain_loops(double tolerance) {
  for (const auto& [n, dim] : {std::pair<std::size_t, std::size_t>{2, 1}, {13, 3}, {120, 17}, {700, 5}}) {
    const Example<T> example(n, dim);
    const Lists lists = example_texts(n);
    check_paths(example.paths(), n);
    compare(example.tree(), lists, [&](std::size_t u, std::size_t w) { return example.tree_log_p(u, w); }, tolerance);
    if (n <= 120)
      compare(example.softmax(), lists, [&](std::size_t u, std::size_t w) { return example.softmax_log_p(u, w); },
              tolerance);
  }
}

CASE(scores_in_single_precision) { compare_with_plain_loops<float>(3e-6); }
CASE(scores_in_double_precision) { compare_with_plain_loops<double>(1e-12); }

CASE(pairs) {
  const Example<float> example(50, 9);
  std::vector<std::int64_t> of, given;
  for (std::int64_t i = 0; i < 200; ++i) {
    of.push_back(i * 7 % 50);
    given.push_back(i * i % 50);
  }
  std::vector<double> tree(of.size()), softmax(of.size());
  log_probabilities(example.tree(), of, given, tree.data(), 1);
  log_probabilities(example.softmax(), of, given, softmax.data(), 2);
  for (std::size_t i = 0; i < of.size(); ++i) {
    const auto u = static_cast<std::size_t>(of[i]), w = static_cast<std::size_t>(given[i]);
    CHECK(std::abs(tree[i] - example.tree_log_p(u, w)) < 1e-12 * std::abs(tree[i]));
    CHECK(std::abs(softmax[i] - example.softmax_log_p(u, w)) < 1e-6 * std::abs(softmax[i]));
  }
}

CASE(trees_that_are_none_are_refused) {
  const Example<float> good(20, 1);
  const auto refused = [&](const auto& change) {
    Example<float> bad = good;
    change(bad);
    CHECK_THROWS(value_error, check_paths(bad.paths(), bad.n));
  };
  check_paths(good.paths(), good.n);
  for (std::size_t j = 0; j < good.node.size(); ++j) {
    refused([&](Example<float>& e) { e.code[j] = 2; });
    refused([&](Example<float>& e) { e.code[j] ^= 1; });  // two words at one leaf, or one at an inner node
    refused([&](Example<float>& e) { e.node[j] = 19; });
  }
  refused([](Example<float>& e) { e.ptr[3] = e.ptr[2] - 1; });
  refused([](Example<float>& e) { e.ptr[0] = 1; });
  refused([](Example<float>& e) { ++e.ptr.back(); });
  refused([](Example<float>& e) { e.ptr.pop_back(); });
  refused([](Example<float>& e) { e.code.pop_back(); });
  refused([](Example<float>& e) { e.n = 21; });
}

}  // namespace
