// Inner loops of sampling. A row is read in blocks of kTokenBlock logits. Within a block, sums are taken in 16 logical
// lanes and a fixed tree, and what is fused is exact: the bits are the same at every level, and so are the tokens drawn.
#include "kernels/simd.hpp"
#include "kernels/table.hpp"

namespace likewise::kernels::LIKEWISE_LEVEL {
namespace {

constexpr std::size_t kLogical = 16;

template <class T>
inline constexpr T minus_infinity = -static_cast<T>(__builtin_inf());
template <class T>
inline constexpr T highest = sizeof(T) == 4 ? static_cast<T>(__FLT_MAX__) : static_cast<T>(__DBL_MAX__);

constexpr float kPower[] = {0.00132647005f, 0.00967153441f, 0.0555073395f, 0.240222424f, 0.693147004f};

/// 2^y for y = (z - top) log2(e) / temperature, at most 0 and above -126: 2^n p(f) with y = n + f, |f| <= 1/2, and the
/// polynomial of least relative error that is 1 at 0. f is a multiple of 2^-23, so that p f + c has at most 50 bits: the
/// fused operations can be had at any level. Relative error below 3e-7, beside the roundings of z - top and of y.
inline vec<float> weight(vec<float> z, const WeightScale<float>& s) {
  constexpr float shift = 0x1.8p23f;  // puts the nearest integer into the low bits
  const vec<float> y = (z - s.top) * s.factor, whole = y + shift, n = whole - shift;
  const vec<float> f = (y + (1.5f - n)) - 1.5f;
  vec<float> p = broadcast(kPower[0]);
  p = multiply_add_exactly(p, f, broadcast(kPower[1]));
  p = multiply_add_exactly(p, f, broadcast(kPower[2]));
  p = multiply_add_exactly(p, f, broadcast(kPower[3]));
  p = multiply_add_exactly(p, f, broadcast(kPower[4]));
  p = multiply_add_exactly(p, f, broadcast(1.0f));
  return (vec<float>)((vec<std::uint32_t>)p + ((vec<std::uint32_t>)whole << 23));
}
inline vec<double> weight(vec<double> z, const WeightScale<double>& s) {
  return exp<false>((0.5 * z - s.half_top) / s.half_temperature);
}

/// A block of n < kTokenBlock logits, filled up with -inf.
template <class T>
struct Padded {
  T z[kTokenBlock];
  Padded(const T* from, std::size_t n) {
    for (std::size_t i = 0; i < kTokenBlock; ++i) z[i] = i < n ? from[i] : minus_infinity<T>;
  }
};

/// Calls use(block, number) for each block, the last one filled up.
template <class T, class Use>
inline void for_blocks(const T* z, std::size_t n, const Use& use) {
  std::size_t b = 0;
  for (; (b + 1) * kTokenBlock <= n; ++b) use(z + b * kTokenBlock, b);
  if (b * kTokenBlock < n) {
    const Padded<T> rest(z + b * kTokenBlock, n - b * kTokenBlock);
    use(rest.z, b);
  }
}

template <class T>
bool maxima(const T* z, std::size_t n, T* largest) {
  const vec<T> limit = broadcast(highest<T>);
  vec<typename signed_of<T>::type> fine = limit <= limit;
  for_blocks(z, n, [&](const T* block, std::size_t b) {
    vec<T> most[4];
    for (std::size_t k = 0; k < 4; ++k) most[k] = broadcast(minus_infinity<T>);
    for (std::size_t i = 0; i < kTokenBlock; i += 4 * lanes<T>)
      for (std::size_t k = 0; k < 4; ++k) {
        const vec<T> v = load(block + i + k * lanes<T>);
        most[k] = maximum(v, most[k]);
        fine &= v <= limit;  // not so for NaN
      }
    largest[b] = max_lanes<T>(maximum(maximum(most[0], most[1]), maximum(most[2], most[3])));
  });
  bool every = true;
  for (std::size_t k = 0; k < lanes<T>; ++k) every = every && fine[k] != 0;
  return every;
}

/// The sum of kLogical numbers: pairs 8 apart, then 4, 2, 1, in float64.
template <class T>
inline double sum_logical(const T* x) {
  constexpr std::size_t kParts = kLogical / lanes<double>;
  vec<double> parts[kParts];
  for (std::size_t i = 0; i < kParts; ++i) parts[i] = load_doubles(x + i * lanes<double>);
  for (std::size_t half = kParts / 2; half > 0; half /= 2)
    for (std::size_t i = 0; i < half; ++i) parts[i] += parts[i + half];
  return sum_lanes<double>(parts[0]);
}

/// out[b] = the sum of of(z) in block b.
template <class T, class Of>
inline void sum_blocks(const T* z, std::size_t n, double* out, const Of& of) {
  for_blocks(z, n, [&](const T* block, std::size_t b) {
    T lane_sums[kLogical];
    for (std::size_t lane = 0; lane < kLogical; lane += lanes<T>) {
      vec<T> part[4] = {};
      for (std::size_t i = 0; i < kTokenBlock; i += 4 * kLogical)
        for (std::size_t k = 0; k < 4; ++k) part[k] += of(load(block + i + k * kLogical + lane));
      store(lane_sums + lane, (part[0] + part[1]) + (part[2] + part[3]));
    }
    out[b] = sum_logical(lane_sums);
  });
}

template <class T>
void sums(const T* z, std::size_t n, const WeightScale<T>& scale, T lowest, double* out) {
  const vec<T> bound = broadcast(lowest);
  sum_blocks(z, n, out, [&](vec<T> v) { return v >= bound ? weight(v, scale) : vec<T>{}; });
}

/// 1 + f in place of 2^f for 0 <= f < 1, by at most 1.0615 too large: the number with 127 + y, a fixed-point number, for
/// its bits.
void rough_sums(const float* z, std::size_t n, const WeightScale<float>& scale, double* out) {
  const vec<float> top = broadcast(scale.top), factor = broadcast(scale.factor * 0x1p23f);
  const vec<float> one = broadcast(127 * 0x1p23f);
  sum_blocks(z, n, out, [&](vec<float> v) {
    const vec<float> bits = (v - top) * factor + one;
    return (vec<float>)__builtin_convertvector(bits > 0.0f ? bits : vec<float>{}, vec<std::int32_t>);
  });
}
void rough_sums(const double* z, std::size_t n, const WeightScale<double>& scale, double* out) {
  sums(z, n, scale, -highest<double>, out);
}

/// out[i] = of(z) for each register of z; the rest through a padded one.
template <class T, class Of>
inline void map(const T* z, std::size_t n, T* out, const Of& of) {
  std::size_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) store(out + i, of(load(z + i)));
  if (i < n) {
    T padded[lanes<T>];
    for (std::size_t k = 0; k < lanes<T>; ++k) padded[k] = i + k < n ? z[i + k] : minus_infinity<T>;
    store(padded, of(load(padded)));
    for (std::size_t k = 0; i + k < n; ++k) out[i + k] = padded[k];
  }
}

template <class T>
void weights(const T* z, std::size_t n, const WeightScale<T>& scale, T lowest, T* out) {
  const vec<T> bound = broadcast(lowest);
  map(z, n, out, [&](vec<T> v) { return v >= bound ? weight(v, scale) : vec<T>{}; });
}

template <class T>
inline vec<T> offset(vec<T> z, T top, T factor, T limit) {
  return minimum((top - z) * factor, broadcast(limit));
}
template <class T>
void offsets(const T* z, std::size_t n, T top, T factor, T limit, T* out) {
  map(z, n, out, [&](vec<T> v) { return offset(v, top, factor, limit); });
}

/// Packs the logits whose bit of chosen(z) is set.
template <class T, class Chosen>
inline std::size_t gather_chosen(const T* z, std::size_t n, std::uint32_t first, T* values, std::uint32_t* ids,
                                 const Chosen& chosen) {
  std::size_t found = 0, i = 0;
  const auto take = [&](vec<T> v, std::uint32_t bits, std::size_t at) {
    if (bits == 0) return;
    compress(v, first + static_cast<std::uint32_t>(at), bits, values + found, ids + found);
    found += static_cast<std::size_t>(__builtin_popcount(bits));
  };
  for (; i + lanes<T> <= n; i += lanes<T>) {
    const vec<T> v = load(z + i);
    take(v, chosen(v), i);
  }
  if (i < n) {
    T padded[lanes<T>];
    for (std::size_t k = 0; k < lanes<T>; ++k) padded[k] = i + k < n ? z[i + k] : minus_infinity<T>;
    const vec<T> v = load(padded);
    take(v, chosen(v) & ((std::uint32_t{1} << (n - i)) - 1), i);
  }
  return found;
}
template <class T>
inline std::uint32_t at_least_bits(vec<T> a, vec<T> b) {
  return ~greater_bits(b, a) & ((std::uint32_t{1} << lanes<T>) - 1);
}

template <class T>
std::size_t gather(const T* z, std::size_t n, std::uint32_t first, T threshold, T* values, std::uint32_t* ids) {
  const vec<T> bound = broadcast(threshold);
  return gather_chosen(z, n, first, values, ids, [&](vec<T> v) { return at_least_bits<T>(v, bound); });
}
template <class T>
std::size_t gather_between(const T* z, std::size_t n, std::uint32_t first, T top, T factor, T limit, T begin, T end,
                           T* values, std::uint32_t* ids) {
  const vec<T> from = broadcast(begin), to = broadcast(end);
  return gather_chosen(z, n, first, values, ids, [&](vec<T> v) {
    const vec<T> x = offset(v, top, factor, limit);
    return at_least_bits<T>(x, from) & greater_bits(to, x);
  });
}

template <class T>
std::size_t count(const T* z, std::size_t n, T threshold) {
  const vec<T> bound = broadcast(threshold);
  std::size_t found = 0, i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>)
    found += static_cast<std::size_t>(__builtin_popcount(at_least_bits<T>(load(z + i), bound)));
  for (; i < n; ++i) found += z[i] >= threshold ? 1 : 0;
  return found;
}

inline vec<double> rescaled(vec<double> v, double base, double temperature, double shift) {
  return (0.5 * v - 0.5 * base) / (0.5 * temperature) + shift;  // halves: no difference overflows
}
inline vec<float> rescaled(vec<float> v, double base, double temperature, double shift) {
  float z[lanes<float>];
  store(z, v);
  return to_floats(rescaled(load_doubles(z), base, temperature, shift),
                   rescaled(load_doubles(z + lanes<double>), base, temperature, shift));
}

template <class T>
void rescale(const T* z, std::size_t n, T threshold, double base, double temperature, double shift, T* out) {
  const vec<T> bound = broadcast(threshold), nothing = broadcast(minus_infinity<T>);
  map(z, n, out, [&](vec<T> v) { return v >= bound ? rescaled(v, base, temperature, shift) : nothing; });
}

/// out = of(x) for n numbers, the rest through padded registers.
template <class From, class To, class Of>
inline void convert(const From* x, std::size_t n, To* out, const Of& of) {
  std::size_t i = 0;
  for (; i + lanes<float> <= n; i += lanes<float>) of(x + i, out + i);
  if (i < n) {
    From padded[lanes<float>] = {};
    To results[lanes<float>];
    for (std::size_t k = 0; i + k < n; ++k) padded[k] = x[i + k];
    of(padded, results);
    for (std::size_t k = 0; i + k < n; ++k) out[i + k] = results[k];
  }
}
void from_halves(const std::uint16_t* x, std::size_t n, float* out) {
  convert(x, n, out, [](const std::uint16_t* from, float* to) { store(to, load_halves(from)); });
}
void from_bfloats(const std::uint16_t* x, std::size_t n, float* out) {
  convert(x, n, out, [](const std::uint16_t* from, float* to) { store(to, load_bfloats(from)); });
}
void to_halves(const float* x, std::size_t n, std::uint16_t* out) {
  convert(x, n, out, [](const float* from, std::uint16_t* to) { store_halves(to, load(from)); });
}
void to_bfloats(const float* x, std::size_t n, std::uint16_t* out) {
  convert(x, n, out, [](const float* from, std::uint16_t* to) { store_bfloats(to, load(from)); });
}

std::size_t extend_runs(const std::int32_t* history, std::int32_t token, const std::int32_t* needed, std::size_t n,
                        std::int32_t* runs) {
  using V = vec<std::int32_t>;
  constexpr std::size_t kWidth = lanes<std::int32_t>;
  const V wanted = broadcast(token), ahead = lane_numbers<float>();
  V last = V{};  // in each lane, 1 + the last number that was long enough
  std::size_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    const V run = (load(runs + i) + 1) & (load(history + i) == wanted);
    const V enough = load(needed + i), reached = run >= enough;
    store(runs + i, reached ? enough : run);  // it never overflows
    const V number = ahead + (static_cast<std::int32_t>(i) + 1);
    last = reached ? number : last;
  }
  std::size_t found = 0;
  for (std::size_t k = 0; k < kWidth; ++k)
    if (static_cast<std::size_t>(last[k]) > found) found = static_cast<std::size_t>(last[k]);
  for (; i < n; ++i) {
    runs[i] = history[i] == token ? runs[i] + 1 : 0;
    if (runs[i] < needed[i]) continue;
    runs[i] = needed[i];
    found = i + 1;
  }
  return found;
}

template <class T>
constexpr SamplingKernels<T> kernels_for{maxima<T>,         sums<T>,  rough_sums, weights<T>, offsets<T>, gather<T>,
                                         gather_between<T>, count<T>, rescale<T>};

}  // namespace

extern const DecodingTable decoding_kernels;
constexpr DecodingTable decoding_kernels{kernels_for<float>, kernels_for<double>, from_halves, from_bfloats,
                                         to_halves,          to_bfloats,          extend_runs};

}  // namespace likewise::kernels::LIKEWISE_LEVEL
