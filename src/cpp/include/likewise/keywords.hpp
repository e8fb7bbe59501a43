// How well a word predicts a text, sum of n_u log p(u | w), with p of a word2vec skip-gram model: by hierarchical
// softmax (Morin and Bengio 2005; Mikolov et al. 2013), or by the softmax that negative sampling stands for. The idea of
// taking such words for keywords: Su Jianlin, kexue.fm/archives/4316.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "likewise/error.hpp"
#include "likewise/span.hpp"

namespace likewise::keywords {

/// The path of each word from the root of a binary tree: words[i] turns to child code[j] at inner node node[j], for
/// ptr[i] <= j < ptr[i + 1].
struct Paths {
  span<const std::int64_t> ptr;    // n_words + 1
  span<const std::uint32_t> node;  // below n_words - 1
  span<const std::uint8_t> code;   // 0 or 1
};

/// Throws value_error naming path_ptr, path_node or path_code unless the code words are those of a full binary tree with
/// a word at every leaf, and words that share a prefix share its nodes: only then the probabilities sum up to 1.
void check_paths(const Paths& paths, std::size_t n_words);

/// Texts in the form that counts: the different words of text t are words[j] for text_ptr[t] <= j < text_ptr[t + 1], each
/// counts[j] times; its candidates are candidates[j] for candidate_ptr[t] <= j < candidate_ptr[t + 1].
struct Texts {
  span<const std::int64_t> text_ptr;
  span<const std::int64_t> words;
  span<const double> counts;
  span<const std::int64_t> candidates;
  span<const std::int64_t> candidate_ptr;
};

/// Row i of `vectors` is word i as context, `dim` numbers. Nothing is copied: the arrays outlive the model.
template <class T>
struct TreeModel {
  const T* vectors;
  const T* theta;  // one row an inner node
  std::size_t n_words, dim;
  Paths paths;  // checked
};
template <class T>
struct SoftmaxModel {
  const T* vectors;
  const T* outputs;  // one row a word
  std::size_t n_words, dim;
  span<const double> bias;  // log p(u | w) = x_w . o_u + bias_u - log of the sum over all u of the exponential
};

/// out[j] = sum over the words u of the text of counts_u log p(u | candidates[j]), without the candidate's own term
/// where `self_term` is false. The same bits for any number of threads and any split into texts.
template <class T>
void scores(const TreeModel<T>& model, const Texts& texts, bool self_term, double* out, unsigned n_threads);
template <class T>
void scores(const SoftmaxModel<T>& model, const Texts& texts, bool self_term, double* out, unsigned n_threads);

/// out[i] = log p(of[i] | given[i]).
template <class T>
void log_probabilities(const TreeModel<T>& model, span<const std::int64_t> of, span<const std::int64_t> given,
                       double* out, unsigned n_threads);
template <class T>
void log_probabilities(const SoftmaxModel<T>& model, span<const std::int64_t> of, span<const std::int64_t> given,
                       double* out, unsigned n_threads);

}  // namespace likewise::keywords
