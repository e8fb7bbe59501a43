#include "likewise/transport/emo.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/dispatch.hpp"
#include "core/thread_pool.hpp"

namespace likewise::transport {
namespace {

constexpr double kTiny = 1e-10;  // added to a denominator, as the published implementations do
constexpr double kMost = 3;      // the clamped mixings weigh the transport part by no more

template <class T>
const kernels::EmoKernels<T>& kernels_of() {
  if constexpr (sizeof(T) == 4) {
    return kernel_table().emo.f32;
  } else {
    return kernel_table().emo.f64;
  }
}

struct Mixed {
  double loss, of_entropy, of_transport;  // the weights of the two gradients
};

/// `probability`: of the target.
Mixed mix(const EmoMixing& mixing, double entropy, double cost, double probability) {
  const Mixing kind = mixing.kind;
  if (kind == Mixing::none) return {cost, 0, 1};
  if (kind == Mixing::sum) return {mixing.alpha * entropy + mixing.beta * cost, mixing.alpha, mixing.beta};
  if (kind == Mixing::patch_1 || kind == Mixing::patch_1_clamped || kind == Mixing::patch_2) cost += probability;
  if (kind == Mixing::rescaled_mle || kind == Mixing::patch_2) {
    const double ratio = cost / (entropy + kTiny);
    return {ratio * entropy + cost, ratio, 1};
  }
  double ratio = entropy / (cost + kTiny);
  if (kind == Mixing::balanced_clamped || kind == Mixing::patch_1_clamped) ratio = std::min(ratio, kMost);
  return {0.5 * (entropy + ratio * cost), 0.5, 0.5 * ratio};
}

/// What the second pass over a token needs of the first.
template <class T>
struct Token {
  const T* cosines = nullptr;  // null: no gradient
  T top = 0;
  kernels::EmoWeights<T> weights{};
  std::size_t target = 0;
  T at_target = 0;  // the gradient there: 1 - q_t by differences in T would be lost where the token is certain
};

template <class T>
class Tokens {
 public:
  Tokens(const EmoTokens<T>& tokens, const EmoMixing& mixing, const EmoResults& results)
      : in_(tokens), mixing_(mixing), results_(results) {}

  /// The first pass. Returns whether the logits are fine.
  bool measure(std::size_t i, Token<T>& token) const {
    token = {};
    results_.losses[i] = results_.cross_entropy[i] = results_.transport[i] = 0;
    const std::int64_t row = in_.rows[i];
    if (row == -1) return true;
    token.cosines = cosines(row);
    const T *z = in_.logits + i * in_.n_vocabulary, *p = nullptr;
    if (in_.soft_targets != nullptr) {
      p = in_.soft_targets + i * in_.n_vocabulary;
    } else {
      const std::int64_t target = in_.targets[i];
      if (target < 0 || static_cast<std::size_t>(target) >= in_.n_vocabulary)
        throw value_error("targets: expected integers from 0 to " + std::to_string(in_.n_vocabulary - 1) + ", got " +
                          std::to_string(target) + " at position " + std::to_string(i));
      token.target = static_cast<std::size_t>(target);
    }
    const kernels::EmoKernels<T>& k = kernels_of<T>();
    const bool fine = k.largest(z, in_.n_vocabulary, &token.top) && std::isfinite(token.top);
    if (!fine) return refuse(token);
    kernels::EmoSums sums{};
    (p != nullptr ? k.soft_sums : k.sums)(z, token.cosines, in_.inverse_norms, p, in_.n_vocabulary, token.top, &sums);
    const double logit = p != nullptr ? sums.logit
                                      : static_cast<double>(z[token.target]) - static_cast<double>(token.top);
    const double entropy = std::log(sums.total) - logit, cost = sums.cost / sums.total;
    if (!std::isfinite(entropy)) return refuse(token);
    const double probability = p != nullptr ? 0 : std::exp(-entropy);
    const Mixed mixed = mix(mixing_, entropy, cost, probability);
    results_.losses[i] = mixed.loss;
    results_.cross_entropy[i] = entropy;
    results_.transport[i] = cost;
    const double scale = mixing_.scale / sums.total;
    token.weights.base = static_cast<T>(scale * (mixed.of_entropy - mixed.of_transport * cost));
    token.weights.slope = static_cast<T>(scale * mixed.of_transport);
    token.weights.of_target = static_cast<T>(mixing_.scale * mixed.of_entropy);
    if (p == nullptr) {
      const double cosine = static_cast<double>(token.cosines[token.target] * in_.inverse_norms[token.target]);
      const double own = std::min(2.0, std::max(0.0, 1 - cosine));
      token.at_target = static_cast<T>(mixing_.scale * (mixed.of_entropy * std::expm1(-entropy) +
                                                        mixed.of_transport * probability * (own - cost)));
    }
    return true;
  }

  /// The second pass over the columns [begin, end).
  void derive(std::size_t i, const Token<T>& token, std::size_t begin, std::size_t end, T* gradient) const {
    T* out = gradient + i * in_.n_vocabulary;
    if (token.cosines == nullptr) {
      std::fill(out + begin, out + end, T(0));
      return;
    }
    const kernels::EmoKernels<T>& k = kernels_of<T>();
    const std::size_t at = i * in_.n_vocabulary + begin;
    const bool soft = in_.soft_targets != nullptr;
    (soft ? k.soft_gradient : k.gradient)(in_.logits + at, token.cosines + begin, in_.inverse_norms + begin,
                                          soft ? in_.soft_targets + at : nullptr, end - begin, token.top,
                                          token.weights, out + begin);
    if (!soft && begin <= token.target && token.target < end) out[token.target] = token.at_target;
  }

 private:
  static bool refuse(Token<T>& token) {
    token = {};
    return false;
  }

  const T* cosines(std::int64_t row) const {
    if (row < 0 || static_cast<std::size_t>(row) >= in_.n_cosines + in_.n_cached)
      throw value_error("rows: expected integers from -1 to " + std::to_string(in_.n_cosines + in_.n_cached) +
                        " less one, got " + std::to_string(row));
    const std::size_t r = static_cast<std::size_t>(row);
    return r < in_.n_cosines ? in_.cosines + r * in_.n_vocabulary : in_.cached + (r - in_.n_cosines) * in_.n_vocabulary;
  }

  const EmoTokens<T>& in_;
  const EmoMixing& mixing_;
  const EmoResults& results_;
};

}  // namespace

template <class T>
std::int64_t emo(const EmoTokens<T>& tokens, const EmoMixing& mixing, T* gradient, const EmoResults& results,
                 unsigned n_threads) {
  const Tokens<T> passes(tokens, mixing, results);
  // A few tokens at a time, so that the second pass finds their rows in the cache. Within them the first pass is split
  // by tokens and the second by columns: no row is written that another thread still has to read.
  const std::size_t width = tokens.n_vocabulary;
  const std::size_t together = n_threads < 2 ? 1 : std::size_t{n_threads};
  const std::size_t pieces = n_threads < 2 ? 1 : std::min<std::size_t>(n_threads, (width + 4095) / 4096);
  std::vector<Token<T>> block(together);
  std::vector<char> fine(together);
  std::int64_t first_wrong = -1;
  for (std::size_t end = tokens.n; end > 0;) {
    poll_interrupt();
    const std::size_t begin = end > together ? end - together : 0;
    parallel_for(end - begin, n_threads,
                 [&](std::size_t k) { fine[k] = static_cast<char>(passes.measure(begin + k, block[k])); });
    for (std::size_t k = end - begin; k-- > 0;)
      if (fine[k] == 0) first_wrong = static_cast<std::int64_t>(begin + k);
    parallel_for(pieces, n_threads, [&](std::size_t piece) {
      for (std::size_t k = end - begin; k-- > 0;)
        passes.derive(begin + k, block[k], width * piece / pieces, width * (piece + 1) / pieces, gradient);
    });
    end = begin;
  }
  return first_wrong;
}

template <class T>
void row_squares(const T* x, std::size_t n, std::size_t width, double* squares, unsigned n_threads) {
  const kernels::EmoKernels<T>& k = kernels_of<T>();
  const std::size_t rows = std::max<std::size_t>(1, (std::size_t{1} << 18) / std::max<std::size_t>(1, width));
  parallel_for((n + rows - 1) / rows, n_threads, [&](std::size_t piece) {
    poll_interrupt();
    for (std::size_t i = piece * rows; i < std::min(n, (piece + 1) * rows); ++i)
      squares[i] = k.sum_of_squares(x + i * width, width);
  });
}

template std::int64_t emo(const EmoTokens<float>&, const EmoMixing&, float*, const EmoResults&, unsigned);
template std::int64_t emo(const EmoTokens<double>&, const EmoMixing&, double*, const EmoResults&, unsigned);
template void row_squares(const float*, std::size_t, std::size_t, double*, unsigned);
template void row_squares(const double*, std::size_t, std::size_t, double*, unsigned);

}  // namespace likewise::transport
