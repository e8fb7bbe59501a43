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

constexpr double kNothing = -1e300;  // an exponent whose exponential is 0

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
    const vec<double> v = exp(
        multiply_add<double>(load_doubles(cost + j) - shift, broadcast(-scale), load(potential + j) + own));
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

/// Sums over the coordinates for `lanes` points y at once, which lie transposed in a buffer of kBlock coordinates.
template <bool kProducts, class T>
void accumulate(const T* x, std::size_t n, const T* y, std::size_t m, std::size_t d, double* out) {
  constexpr std::size_t kBlock = 64, kWidth = lanes<double>;
  alignas(64) double coordinates[kBlock * kWidth];
  for (std::size_t j = 0; j < m; j += kWidth) {
    const std::size_t width = m - j < kWidth ? m - j : kWidth;
    for (std::size_t first = 0; first < d; first += kBlock) {
      const std::size_t count = d - first < kBlock ? d - first : kBlock;
      for (std::size_t w = 0; w < kWidth; ++w)  // the last point stands in for those that are not there
        for (std::size_t k = 0; k < count; ++k)
          coordinates[k * kWidth + w] = static_cast<double>(y[(j + (w < width ? w : width - 1)) * d + first + k]);
      for (std::size_t i = 0; i < n; ++i) {
        vec<double> sum{};
        for (std::size_t k = 0; k < count; ++k) {
          const vec<double> own = broadcast(static_cast<double>(x[i * d + first + k]));
          const vec<double> other = load(coordinates + k * kWidth);
          if constexpr (kProducts) {
            sum = multiply_add<double>(own, other, sum);
          } else {
            const vec<double> difference = own - other;
            sum = multiply_add<double>(difference, difference, sum);
          }
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

template <class T>
void squared_distances(const T* x, std::size_t n, const T* y, std::size_t m, std::size_t d, double* out) {
  accumulate<false>(x, n, y, m, d, out);
}
template <class T>
void inner_products(const T* x, std::size_t n, const T* y, std::size_t m, std::size_t d, double* out) {
  accumulate<true>(x, n, y, m, d, out);
}

template <class C>
constexpr CostKernels<C> kCost{&max_exponent<C>, &exponentials<C>, &max_with<C>, &weighted_cost<C>};
template <class T>
constexpr PointKernels<T> kPoints{&squared_distances<T>, &inner_products<T>};

}  // namespace

extern const SinkhornKernels sinkhorn_kernels{kCost<float>,  kCost<double>, kPoints<float>, kPoints<double>,
                                              &add_multiple, &dot,          &logarithms,    &square_roots};

}  // namespace likewise::kernels::LIKEWISE_LEVEL
