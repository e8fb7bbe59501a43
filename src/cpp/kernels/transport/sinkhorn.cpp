// Inner loops over the pairs of a transport problem. Exponents are formed in float64: at small epsilon they are small
// differences of large numbers. Per pair: about 4 operations for the exponent, 20 for a float64 exponential.
#include "kernels/simd.hpp"
#include "kernels/table.hpp"

namespace likewise::kernels::LIKEWISE_LEVEL {
namespace {

template <class T>
struct Tail {
  /// The last count < lanes<double> numbers, filled up with `fill`.
  static vec<double> load(const T* p, std::size_t count, double fill) {
    vec<double> v = broadcast(fill);
    for (std::size_t i = 0; i < count; ++i) v[i] = static_cast<double>(p[i]);
    return v;
  }
};
inline void store_tail(double* p, vec<double> v, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) p[i] = v[i];
}

constexpr double kNothing = -1e300;              // an exponent whose exponential is 0
constexpr double kBinary = 1.4426950408889634;  // in units of it, exponents are those of 2, whose powers are faster

template <class C>
double max_exponent(const C* cost, const double* potential, std::size_t m, double shift, double scale) {
  vec<double> best = broadcast(kNothing);
  std::size_t j = 0;
  for (; j + lanes<double> <= m; j += lanes<double>)
    best = maximum(best, multiply_add<double>(load_doubles(cost + j) - shift, broadcast(-scale), load(potential + j)));
  double largest = max_lanes<double>(best);
  for (; j < m; ++j) {
    const double t = potential[j] - (static_cast<double>(cost[j]) - shift) * scale;
    largest = t > largest ? t : largest;
  }
  return largest;
}

template <class C>
double exponentials(const C* cost, const double* potential, std::size_t m, double shift, double scale, double own,
                    double* e) {
  vec<double> sum{};
  std::size_t j = 0;
  for (; j + lanes<double> <= m; j += lanes<double>) {
    const vec<double> t =
        multiply_add<double>(load_doubles(cost + j) - shift, broadcast(-scale), load(potential + j) + own);
    if (greater_bits(t, broadcast(-100.0)) == 0) {  // where epsilon is small, most of a row
      store(e + j, vec<double>{});
      continue;
    }
    const vec<double> v = exp(t);
    store(e + j, v);
    sum += v;
  }
  if (j < m) {
    const vec<double> v = exp(multiply_add<double>(Tail<C>::load(cost + j, m - j, 0) - shift, broadcast(-scale),
                                                   Tail<double>::load(potential + j, m - j, kNothing) + own));
    store_tail(e + j, v, m - j);
    for (std::size_t i = 0; i < m - j; ++i) sum[i] += v[i];
  }
  return sum_lanes<double>(sum);
}

template <class C>
double float_exponentials(const C* cost, const double* potential, std::size_t m, double shift, double scale, double own,
                          float* e) {
  constexpr std::size_t half = lanes<double>;
  const auto exponent = [&](vec<double> costs, vec<double> potentials) {
    return multiply_add<double>(costs - shift, broadcast(-scale * kBinary), (potentials + own) * kBinary);
  };
  double total = 0;
  std::size_t j = 0;
  constexpr std::size_t together = 2;  // registers
  while (j + together * lanes<float> <= m) {
    const std::size_t end = m - j < 1024 ? m : j + 1024;  // short sums in float32
    vec<float> sum[together] = {};
    for (; j + together * lanes<float> <= end; j += together * lanes<float>) {
      vec<float> v[together];
#pragma GCC unroll 2
      for (std::size_t r = 0; r < together; ++r) {
        const std::size_t at = j + r * lanes<float>;
        v[r] = to_floats(exponent(load_doubles(cost + at), load(potential + at)),
                         exponent(load_doubles(cost + at + half), load(potential + at + half)));
      }
      exp2<together>(v);
#pragma GCC unroll 2
      for (std::size_t r = 0; r < together; ++r) {
        store(e + j + r * lanes<float>, v[r]);
        sum[r] += v[r];
      }
    }
    total += static_cast<double>(sum_lanes<float>(sum[0] + sum[1]));
  }
  for (; j < m; j += lanes<float>) {
    const std::size_t low = m - j < half ? m - j : half, high = m - j - low < half ? m - j - low : half;
    vec<float> v[] = {
        to_floats(exponent(Tail<C>::load(cost + j, low, 0), Tail<double>::load(potential + j, low, kNothing)),
                  exponent(Tail<C>::load(cost + j + low, high, 0),
                           Tail<double>::load(potential + j + low, high, kNothing)))};
    exp2<1>(v);
    store(e + j, v[0]);
    total += static_cast<double>(sum_lanes<float>(v[0]));
  }
  for (; j % kPad != 0; ++j) e[j] = 0;
  return total;
}

template <class C>
void weighted_exponentials(const C* cost, const double* potential, const float* weights, std::size_t m, double shift,
                           double scale, double own, float weight, float* out) {
  constexpr std::size_t half = lanes<double>, together = 2;
  const auto exponent = [&](vec<double> costs, vec<double> potentials) {
    return multiply_add<double>(costs - shift, broadcast(-scale * kBinary), (potentials + own) * kBinary);
  };
  std::size_t j = 0;
  for (; j + together * lanes<float> <= m; j += together * lanes<float>) {
    vec<float> v[together];
#pragma GCC unroll 2
    for (std::size_t r = 0; r < together; ++r) {
      const std::size_t at = j + r * lanes<float>;
      v[r] = to_floats(exponent(load_doubles(cost + at), load(potential + at)),
                       exponent(load_doubles(cost + at + half), load(potential + at + half)));
    }
    exp2<together>(v);
#pragma GCC unroll 2
    for (std::size_t r = 0; r < together; ++r)
      store(out + j + r * lanes<float>, v[r] * (load(weights + j + r * lanes<float>) * weight));
  }
  for (; j < m; j += half) {
    const std::size_t count = m - j < half ? m - j : half;
    vec<float> v[] = {
        to_floats(exponent(Tail<C>::load(cost + j, count, 0), Tail<double>::load(potential + j, count, kNothing)),
                  broadcast(kNothing))};
    exp2<1>(v);
    for (std::size_t i = 0; i < count; ++i) out[j + i] = v[0][i] * (weights[j + i] * weight);
  }
}

template <class C>
std::size_t find_above(const C* cost, const double* potential, std::size_t m, double shift, double scale, double own,
                       double threshold, std::uint32_t* found) {
  std::size_t n = 0, j = 0;
  const vec<double> least = broadcast(threshold - own);
  for (; j + lanes<double> <= m; j += lanes<double>) {
    std::uint32_t bits = greater_bits(
        multiply_add<double>(load_doubles(cost + j) - shift, broadcast(-scale), load(potential + j)), least);
    for (; bits != 0; bits &= bits - 1)
      found[n++] = static_cast<std::uint32_t>(j) + static_cast<std::uint32_t>(__builtin_ctz(bits));
  }
  for (; j < m; ++j)
    if (potential[j] - (static_cast<double>(cost[j]) - shift) * scale > threshold - own)
      found[n++] = static_cast<std::uint32_t>(j);
  return n;
}

template <class C>
void fill_tile(const C* const* rows, std::size_t n_rows, const std::uint32_t* columns, const double* potential,
               double shift, double scale, const double* own, float* tile) {
  for (std::size_t r = 0; r < kTileRows; ++r, tile += kTileColumns) {
    alignas(64) double t[kTileColumns];
    for (std::size_t k = 0; k < kTileColumns; ++k)
      t[k] = r < n_rows ? static_cast<double>(rows[r][columns[k]]) : 0;
    for (std::size_t k = 0; k < kTileColumns; k += lanes<float>) {
      const auto exponent = [&](std::size_t at) {
        return r < n_rows ? multiply_add<double>(load(t + at) - shift, broadcast(-scale), load(potential + at) + own[r])
                          : broadcast(kNothing);
      };
      store(tile + k, exp(to_floats(exponent(k), exponent(k + lanes<double>))));
    }
  }
}

template <class C>
void max_with(const C* cost, std::size_t m, double shift, double scale, double own, double* maxima) {
  std::size_t j = 0;
  for (; j + lanes<double> <= m; j += lanes<double>)
    store(maxima + j, maximum(load(maxima + j), multiply_add<double>(load_doubles(cost + j) - shift, broadcast(-scale),
                                                                     broadcast(own))));
  for (; j < m; ++j) {
    const double t = own - (static_cast<double>(cost[j]) - shift) * scale;
    maxima[j] = t > maxima[j] ? t : maxima[j];
  }
}

template <class C>
double weighted_cost(const C* cost, const double* weights, std::size_t m, double shift) {
  vec<double> sum{};
  std::size_t j = 0;
  for (; j + lanes<double> <= m; j += lanes<double>)
    sum = multiply_add<double>(load_doubles(cost + j) - shift, load(weights + j), sum);
  double total = sum_lanes<double>(sum);
  for (; j < m; ++j) total += (static_cast<double>(cost[j]) - shift) * weights[j];
  return total;
}

template <class C>
double add_plan(const C* cost, const double* potential, std::size_t m, double shift, double scale, double own,
                double weight, double* columns, double* total_cost) {
  vec<double> sum{}, costs{};
  std::size_t j = 0;
  for (; j + lanes<double> <= m; j += lanes<double>) {
    const vec<double> c = load_doubles(cost + j) - shift;
    const vec<double> t = multiply_add<double>(c, broadcast(-scale), load(potential + j) + own);
    if (greater_bits(t, broadcast(-100.0)) == 0) continue;  // where epsilon is small, most of a row
    const vec<double> v = exp(t) * weight;
    sum += v;
    costs = multiply_add<double>(c, v, costs);
    store(columns + j, load(columns + j) + v);
  }
  double total = sum_lanes<double>(sum), cost_sum = sum_lanes<double>(costs);
  if (j < m) {
    const vec<double> c = Tail<C>::load(cost + j, m - j, 0) - shift;
    const vec<double> v = exp(multiply_add<double>(c, broadcast(-scale),
                                                   Tail<double>::load(potential + j, m - j, kNothing) + own)) *
                          weight;
    for (std::size_t i = 0; i < m - j; ++i) {
      total += v[i];
      cost_sum += c[i] * v[i];
      columns[j + i] += v[i];
    }
  }
  *total_cost = cost_sum;
  return total;
}

void add_multiple(const double* values, double factor, std::size_t m, double* sums) {
  std::size_t j = 0;
  for (; j + lanes<double> <= m; j += lanes<double>)
    store(sums + j, multiply_add<double>(load(values + j), broadcast(factor), load(sums + j)));
  for (; j < m; ++j) sums[j] += values[j] * factor;
}

double dot(const double* a, const double* b, std::size_t m) {
  vec<double> sum{};
  std::size_t j = 0;
  for (; j + lanes<double> <= m; j += lanes<double>) sum = multiply_add<double>(load(a + j), load(b + j), sum);
  double total = sum_lanes<double>(sum);
  for (; j < m; ++j) total += a[j] * b[j];
  return total;
}

void logarithms(const double* values, std::size_t n, double* out) {
  std::size_t j = 0;
  for (; j + lanes<double> <= n; j += lanes<double>) store(out + j, log(load(values + j)));
  if (j < n) store_tail(out + j, log(Tail<double>::load(values + j, n - j, 1.0)), n - j);
}

void square_roots(double* values, std::size_t n) {
  std::size_t j = 0;
  for (; j + lanes<double> <= n; j += lanes<double>) store(values + j, square_root<double>(load(values + j)));
  for (; j < n; ++j) values[j] = __builtin_sqrt(values[j]);
}

/// `lanes` points y at once, which lie transposed in a buffer of kBlock coordinates.
template <class T>
void squared_distances(const T* x, const double* x_scale, std::size_t n, const T* y, const double* y_scale,
                       std::size_t m, std::size_t d, double* out) {
  constexpr std::size_t kBlock = 64, kWidth = lanes<double>;
  alignas(64) double coordinates[kBlock * kWidth];
  for (std::size_t j = 0; j < m; j += kWidth) {
    const std::size_t width = m - j < kWidth ? m - j : kWidth;
    for (std::size_t first = 0; first < d; first += kBlock) {
      const std::size_t count = d - first < kBlock ? d - first : kBlock;
      for (std::size_t w = 0; w < kWidth; ++w) {  // the last point stands in for those that are not there
        const std::size_t at = j + (w < width ? w : width - 1);
        const double scale = y_scale == nullptr ? 1.0 : y_scale[at];
        for (std::size_t k = 0; k < count; ++k)
          coordinates[k * kWidth + w] = static_cast<double>(y[at * d + first + k]) * scale;
      }
      for (std::size_t i = 0; i < n; ++i) {
        const double scale = x_scale == nullptr ? 1.0 : x_scale[i];
        vec<double> sum{};
        for (std::size_t k = 0; k < count; ++k) {
          const vec<double> difference =
              static_cast<double>(x[i * d + first + k]) * scale - load(coordinates + k * kWidth);
          sum = multiply_add<double>(difference, difference, sum);
        }
        double* to = out + i * m + j;
        if (width == kWidth) {
          store(to, first == 0 ? sum : sum + load(to));
        } else {
          for (std::size_t w = 0; w < width; ++w) to[w] = first == 0 ? sum[w] : sum[w] + to[w];
        }
      }
    }
  }
}

/// Columns begin ... end of R rows, which share each load of y. D coordinates, d if that is 0.
template <std::size_t R, std::size_t D>
void product_exponentials_of(const double* x, const double* own, const double* y, const double* potential,
                             std::size_t m, std::size_t d, std::size_t begin, std::size_t end, float* e,
                             double* sums) {
  constexpr std::size_t half = lanes<double>;
  if (D != 0) d = D;
  vec<float> sum[R] = {};
  for (std::size_t j = begin; j < end; j += lanes<float>) {
    const vec<double> p0 = load(potential + j), p1 = load(potential + j + half);
    vec<double> t0[R], t1[R];
    vec<float> v[R];
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R; ++r) {
      t0[r] = p0 + own[r];
      t1[r] = p1 + own[r];
    }
#pragma GCC unroll 3
    for (std::size_t k = 0; k < d; ++k) {
      const vec<double> y0 = load(y + k * m + j), y1 = load(y + k * m + j + half);
#pragma GCC unroll 4
      for (std::size_t r = 0; r < R; ++r) {
        const vec<double> factor = broadcast(x[r * d + k]);
        t0[r] = multiply_add<double>(factor, y0, t0[r]);
        t1[r] = multiply_add<double>(factor, y1, t1[r]);
      }
    }
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R; ++r) v[r] = to_floats(t0[r], t1[r]);
    exp2<R>(v);
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R; ++r) {
      store(e + r * m + j, v[r]);
      sum[r] += v[r];
    }
  }
#pragma GCC unroll 4
  for (std::size_t r = 0; r < R; ++r) sums[r] += static_cast<double>(sum_lanes<float>(sum[r]));
}

void product_exponentials(const double* x, const double* own, std::size_t n_rows, const double* y,
                          const double* potential, std::size_t m, std::size_t d, float* e, double* sums) {
  constexpr std::size_t kTogether = 512;  // columns: short sums in float32, and y stays in the L1 cache
  const auto four = d == 1   ? &product_exponentials_of<4, 1>
                    : d == 2 ? &product_exponentials_of<4, 2>
                    : d == 3 ? &product_exponentials_of<4, 3>
                             : &product_exponentials_of<4, 0>;
  for (std::size_t r = 0; r < n_rows; ++r) sums[r] = 0;
  for (std::size_t begin = 0; begin < m; begin += kTogether) {
    const std::size_t end = m - begin < kTogether ? m : begin + kTogether;
    std::size_t r = 0;
    for (; r + 4 <= n_rows; r += 4) four(x + r * d, own + r, y, potential, m, d, begin, end, e + r * m, sums + r);
    for (; r < n_rows; ++r)
      product_exponentials_of<1, 0>(x + r * d, own + r, y, potential, m, d, begin, end, e + r * m, sums + r);
  }
}

template <class C>
constexpr CostKernels<C> kCost{&max_exponent<C>,  &exponentials<C>,       &max_with<C>,
                               &weighted_cost<C>, &float_exponentials<C>, &find_above<C>,
                               &fill_tile<C>,     &weighted_exponentials<C>, &add_plan<C>};
template <class T>
constexpr PointKernels<T> kPoints{&squared_distances<T>};

}  // namespace

extern const SinkhornKernels sinkhorn_kernels{kCost<float>,  kCost<double>, kPoints<float>, kPoints<double>,
                                              &add_multiple, &dot,          &logarithms,    &square_roots,
                                              &product_exponentials};

}  // namespace likewise::kernels::LIKEWISE_LEVEL
