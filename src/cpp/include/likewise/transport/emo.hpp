// The EMO loss of predicted tokens (Ren et al. 2023; Su 2023): the exact transport cost between a softmax and the true
// token, with cost 1 - cosine between rows of an embedding, mixed with the cross entropy.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "likewise/error.hpp"

namespace likewise::transport {

enum class Mixing { none, balanced, balanced_clamped, rescaled_mle, patch_1, patch_1_clamped, patch_2, sum };

/// Rows of one token each. The cost of token i is 1 - <cosine row> * inverse_norms, kept within [0, 2]; its row of
/// cosines is number rows[i] of `cosines`, or, from n_cosines on, number rows[i] - n_cosines of `cached`.
template <class T>
struct EmoTokens {
  std::size_t n = 0, n_vocabulary = 0, n_cosines = 0, n_cached = 0;
  const T* logits = nullptr;            // (n, n_vocabulary)
  const std::int64_t* rows = nullptr;   // (n,), -1: the token does not count
  const std::int64_t* targets = nullptr;  // (n,), not looked at where there are soft targets
  const T* soft_targets = nullptr;      // (n, n_vocabulary), or null
  const T* cosines = nullptr;           // (n_cosines, n_vocabulary)
  const T* cached = nullptr;            // (n_cached, n_vocabulary)
  const T* inverse_norms = nullptr;     // (n_vocabulary,)
};

struct EmoMixing {
  Mixing kind = Mixing::balanced_clamped;
  double alpha = 1, beta = 1;  // of Mixing::sum
  double scale = 1;            // factor of the gradient
};

/// Three numbers of each token; 0 where it does not count.
struct EmoResults {
  double *losses, *cross_entropy, *transport;
};

/// Losses and gradient (n, n_vocabulary) with respect to the logits. `gradient` may be `logits`, or `cosines` if
/// rows[i] <= i: tokens are taken from the last to the first, and each row is read before it is written. The same bits
/// for any number of threads. Returns the first token whose logits are NaN or +inf or all -inf, or -inf at its target;
/// -1 if there is none. Throws value_error where rows or targets are out of range.
template <class T>
std::int64_t emo(const EmoTokens<T>& tokens, const EmoMixing& mixing, T* gradient, const EmoResults& results,
                 unsigned n_threads);

/// squares[i] = sum of the squares of row i.
template <class T>
void row_squares(const T* x, std::size_t n, std::size_t width, double* squares, unsigned n_threads);

}  // namespace likewise::transport
