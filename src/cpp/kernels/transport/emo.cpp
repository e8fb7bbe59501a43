// Inner loops of the EMO loss over one token's row: logits z, cosines c of the target with each row of the embedding
// (not yet divided by that row's norm), one over the norms. The cost is d = 1 - c / norm, kept within [0, 2]. The
// exponential is computed in both passes: reading it back would cost as much. About 20 operations an element and pass.
#include "kernels/simd.hpp"
#include "kernels/table.hpp"

namespace likewise::kernels::LIKEWISE_LEVEL {
namespace {

constexpr std::size_t kFlush = 1024;  // elements whose sums stay in T before they go to float64

template <class T>
inline constexpr T minus_infinity = -static_cast<T>(__builtin_inf());

/// The first n lanes of p, `rest` in the others.
template <class T>
inline vec<T> load_tail(const T* p, std::size_t n, T rest) {
  T padded[lanes<T>];
  for (std::size_t i = 0; i < lanes<T>; ++i) padded[i] = i < n ? p[i] : rest;
  return load(padded);
}
template <class T>
inline void store_tail(T* p, vec<T> v, std::size_t n) {
  T padded[lanes<T>];
  store(padded, v);
  for (std::size_t i = 0; i < n; ++i) p[i] = padded[i];
}

template <class T>
bool largest(const T* z, std::size_t n, T* top) {
  const T highest = sizeof(T) == 4 ? static_cast<T>(__FLT_MAX__) : static_cast<T>(__DBL_MAX__);
  const vec<T> limit = broadcast(highest);
  vec<T> most[4];
  vec<typename signed_of<T>::type> fine[4];
  for (std::size_t k = 0; k < 4; ++k) {
    most[k] = broadcast(minus_infinity<T>);
    fine[k] = most[k] <= limit;
  }
  std::size_t i = 0;
  const auto take = [&](vec<T> v, std::size_t k) {
    most[k] = maximum(most[k], v);
    fine[k] &= v <= limit;  // not so for NaN
  };
  for (; i + 4 * lanes<T> <= n; i += 4 * lanes<T>)
    for (std::size_t k = 0; k < 4; ++k) take(load(z + i + k * lanes<T>), k);
  for (; i + lanes<T> <= n; i += lanes<T>) take(load(z + i), 0);
  if (i < n) take(load_tail(z + i, n - i, minus_infinity<T>), 1);
  *top = max_lanes<T>(maximum(maximum(most[0], most[1]), maximum(most[2], most[3])));
  const auto all = fine[0] & fine[1] & fine[2] & fine[3];
  bool every = true;
  for (std::size_t k = 0; k < lanes<T>; ++k) every = every && all[k] != 0;
  return every;
}

template <class T>
inline vec<T> cost_of(vec<T> cosine, vec<T> inverse_norm) {
  const vec<T> two = broadcast(T(2)), cost = broadcast(T(1)) - cosine * inverse_norm;
  return maximum(vec<T>{}, cost < two ? cost : two);
}

/// What is summed up over a row; the terms of the target distribution p only where there is one.
template <class T, bool Soft>
struct Sums {
  vec<T> total{}, cost{}, logit{};

  void add(vec<T> z, vec<T> c, vec<T> inverse_norm, vec<T> p, vec<T> top) {
    const vec<T> shifted = z - top, e = exp(shifted);
    total += e;
    cost = multiply_add<T>(e, cost_of<T>(c, inverse_norm), cost);
    if constexpr (Soft) logit += p > T(0) ? p * shifted : vec<T>{};  // 0 log 0 = 0, also for z = -inf
  }
};

template <class T, bool Soft>
void sums(const T* z, const T* cosines, const T* inverse_norms, const T* p, std::size_t n, T top, EmoSums* out) {
  const vec<T> shift = broadcast(top);
  double total = 0, cost = 0, logit = 0;
  for (std::size_t begin = 0; begin < n; begin += kFlush) {
    const std::size_t end = n - begin < kFlush ? n : begin + kFlush;
    Sums<T, Soft> part[2];
    const auto add = [&](std::size_t k, std::size_t i) {
      part[k].add(load(z + i), load(cosines + i), load(inverse_norms + i), Soft ? load(p + i) : vec<T>{}, shift);
    };
    std::size_t i = begin;
    for (; i + 2 * lanes<T> <= end; i += 2 * lanes<T>) {
      add(0, i);
      add(1, i + lanes<T>);
    }
    for (; i + lanes<T> <= end; i += lanes<T>) add(0, i);
    if (i < end) {
      const std::size_t rest = end - i;
      part[1].add(load_tail(z + i, rest, minus_infinity<T>), load_tail(cosines + i, rest, T(0)),
                  load_tail(inverse_norms + i, rest, T(0)), Soft ? load_tail(p + i, rest, T(0)) : vec<T>{}, shift);
    }
    total += static_cast<double>(sum_lanes<T>(part[0].total + part[1].total));
    cost += static_cast<double>(sum_lanes<T>(part[0].cost + part[1].cost));
    if constexpr (Soft) logit += static_cast<double>(sum_lanes<T>(part[0].logit + part[1].logit));
  }
  // The exponential of 0 is not exactly 1: divided by it, a token that is certain has a cross entropy of exactly 0.
  const double one = static_cast<double>(exp(vec<T>{})[0]);
  *out = {total / one, cost / one, logit};
}

template <class T, bool Soft>
void gradient(const T* z, const T* cosines, const T* inverse_norms, const T* p, std::size_t n, T top,
              const EmoWeights<T>& weights, T* out) {
  const vec<T> shift = broadcast(top), base = broadcast(weights.base), slope = broadcast(weights.slope);
  const vec<T> of_target = broadcast(weights.of_target);
  const auto value = [&](vec<T> logits, vec<T> c, vec<T> inverse_norm, vec<T> target) {
    vec<T> g = exp(logits - shift) * multiply_add<T>(slope, cost_of<T>(c, inverse_norm), base);
    if constexpr (Soft) g -= of_target * target;
    return g;
  };
  std::size_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>)
    store(out + i, value(load(z + i), load(cosines + i), load(inverse_norms + i), Soft ? load(p + i) : vec<T>{}));
  if (i < n) {
    const std::size_t rest = n - i;
    store_tail(out + i,
               value(load_tail(z + i, rest, minus_infinity<T>), load_tail(cosines + i, rest, T(0)),
                     load_tail(inverse_norms + i, rest, T(0)), Soft ? load_tail(p + i, rest, T(0)) : vec<T>{}),
               rest);
  }
}

template <class T>
double sum_of_squares(const T* x, std::size_t n) {
  constexpr std::size_t w = 32;  // sums that do not wait for one another, the same at every level
  double sums[w] = {};
  std::size_t i = 0;
  for (; i + w <= n; i += w)
#pragma GCC unroll 32
    for (std::size_t c = 0; c < w; ++c) sums[c] += static_cast<double>(x[i + c]) * static_cast<double>(x[i + c]);
  for (std::size_t c = 0; i < n; ++i, ++c) sums[c] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
#pragma GCC unroll 5
  for (std::size_t half = w / 2; half > 0; half /= 2)
    for (std::size_t c = 0; c < half; ++c) sums[c] += sums[c + half];
  return sums[0];
}

template <class T>
constexpr EmoKernels<T> kernels_for{largest<T>,         sums<T, false>,    sums<T, true>,
                                    gradient<T, false>, gradient<T, true>, sum_of_squares<T>};

}  // namespace

extern const EmoTable emo_kernels;
constexpr EmoTable emo_kernels{kernels_for<float>, kernels_for<double>};

}  // namespace likewise::kernels::LIKEWISE_LEVEL
