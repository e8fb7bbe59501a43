// Inner loops of keyword scores: products of many rows with a panel of words, and what becomes of them while they are
// in registers. A panel holds the vectors of one or two registers of words side by side: component c of word l is
// panel[c * width + l]. Rows are taken kRows at a time: as many products as registers hold.
#include "kernels/simd.hpp"
#include "kernels/table.hpp"

namespace likewise::kernels::LIKEWISE_LEVEL {
namespace {

constexpr std::size_t kRows = kBytes == 64 ? 12 : 6;

/// d[r][p] = rows[r] . the words of register p.
template <class T, std::size_t Rows, std::size_t P>
inline void multiply(const T* const* rows, std::size_t dim, const T* panel, vec<T> (&d)[Rows][P]) {
  for (std::size_t r = 0; r < Rows; ++r)
    for (std::size_t p = 0; p < P; ++p) d[r][p] = vec<T>{};
  for (std::size_t c = 0; c < dim; ++c, panel += P * lanes<T>) {
    vec<T> x[P];
    for (std::size_t p = 0; p < P; ++p) x[p] = load(panel + p * lanes<T>);
#pragma GCC unroll 16
    for (std::size_t r = 0; r < Rows; ++r) {
      const vec<T> t = broadcast(rows[r][c]);
      for (std::size_t p = 0; p < P; ++p) d[r][p] = multiply_add<T>(t, x[p], d[r][p]);
    }
  }
}

/// log(1 + e) for 0 <= e <= 1: by the polynomial of least relative error (3e-8), or by 2 artanh(e / (2 + e)).
inline vec<float> log1p(vec<float> e) {
  constexpr float coefficients[] = {5.1261021e-3f, -2.90740647e-2f, 7.75160867e-2f, -0.136022476f, 0.190768807f,
                                    -0.24835399f,  0.333181217f,    -0.49999445f,   0.999999966f};
  vec<float> p = broadcast(coefficients[0]);
#pragma GCC unroll 8
  for (std::size_t i = 1; i < 9; ++i) p = multiply_add<float>(p, e, broadcast(coefficients[i]));
  return p * e;
}
inline vec<double> log1p(vec<double> e) {
  const vec<double> s = e / (e + 2.0), w = s * s;
  vec<double> p = broadcast(1.0 / 33);
#pragma GCC unroll 16
  for (int k = 31; k >= 1; k -= 2) p = multiply_add<double>(p, w, broadcast(1.0 / k));
  return 2.0 * s * p;
}

template <class T>
inline void add_to_doubles(double* sums, vec<T> v) {
  T part[lanes<T>];
  store(part, v);
  for (std::size_t i = 0; i < lanes<T>; i += lanes<double>) store(sums + i, load(sums + i) + load_doubles(part + i));
}

/// weight softplus(-d) + ones d = weight log(1 + e^-|d|) + |d| (ones where d > 0, weight - ones elsewhere): nothing
/// cancels, as 0 <= ones <= weight.
template <class T, std::size_t P, std::size_t Rows>
void tree_tile(const T* const* rows, const T* weights, const T* ones, std::size_t dim, const T* panel, double* sums) {
  vec<T> d[Rows][P];
  multiply<T>(rows, dim, panel, d);
  for (std::size_t p = 0; p < P; ++p) {
    vec<T> sum{};
#pragma GCC unroll 16
    for (std::size_t r = 0; r < Rows; ++r) {
      const vec<T> weight = broadcast(weights[r]), one = broadcast(ones[r]), x = d[r][p];
      const vec<T> size = maximum(x, -x), factor = x > vec<T>{} ? one : weight - one;
      sum = multiply_add<T>(weight, log1p(exp(-size)), multiply_add<T>(size, factor, sum));
    }
    add_to_doubles<T>(sums + p * lanes<T>, sum);
  }
}

template <class T, std::size_t P>
void add_tree(const T* const* rows, const T* weights, const T* ones, std::size_t n_rows, std::size_t dim,
              const T* panel, double* sums) {
  std::size_t r = 0;
  for (; r + kRows <= n_rows; r += kRows) tree_tile<T, P, kRows>(rows + r, weights + r, ones + r, dim, panel, sums);
  for (; r < n_rows; ++r) tree_tile<T, P, 1>(rows + r, weights + r, ones + r, dim, panel, sums);
}

template <class T, std::size_t P, std::size_t Rows>
inline void exponential_tile(const T* const* rows, const T* biases, std::size_t dim, const T* panel,
                             vec<T> (&largest)[P], vec<T> (&sums)[P]) {
  vec<T> d[Rows][P];
  multiply<T>(rows, dim, panel, d);
  for (std::size_t p = 0; p < P; ++p) {
    vec<T> top = largest[p];
#pragma GCC unroll 16
    for (std::size_t r = 0; r < Rows; ++r) {
      d[r][p] += broadcast(biases[r]);
      top = maximum(top, d[r][p]);
    }
    vec<T> sum = sums[p] * exp(largest[p] - top);
#pragma GCC unroll 16
    for (std::size_t r = 0; r < Rows; ++r) sum += exp(d[r][p] - top);
    largest[p] = top;
    sums[p] = sum;
  }
}

/// Asks for the rows of the next tile while this one is multiplied: the vocabulary is larger than the caches.
template <class T>
inline void fetch(const T* const* rows, std::size_t dim) {
  constexpr std::size_t kLine = 64 / sizeof(T);
  for (std::size_t r = 0; r < kRows; ++r)
    for (std::size_t c = 0; c < dim; c += kLine) __builtin_prefetch(rows[r] + c);
}

template <class T, std::size_t P>
void sum_exponentials(const T* const* rows, const T* biases, std::size_t n_rows, std::size_t dim, const T* panel,
                      T* largest, T* sums) {
  vec<T> tops[P], found[P] = {};
  for (vec<T>& top : tops) top = broadcast(T(-1e30));
  std::size_t r = 0;
  for (; r + kRows <= n_rows; r += kRows) {
    if (r + 2 * kRows <= n_rows) fetch(rows + r + kRows, dim);
    exponential_tile<T, P, kRows>(rows + r, biases + r, dim, panel, tops, found);
  }
  for (; r < n_rows; ++r) exponential_tile<T, P, 1>(rows + r, biases + r, dim, panel, tops, found);
  for (std::size_t p = 0; p < P; ++p) {
    store(largest + p * lanes<T>, tops[p]);
    store(sums + p * lanes<T>, found[p]);
  }
}

template <class T>
constexpr KeywordKernels<T> kernels_for{
    lanes<T>, {add_tree<T, 1>, add_tree<T, 2>}, {sum_exponentials<T, 1>, sum_exponentials<T, 2>}};

}  // namespace

extern const KeywordTable keyword_kernels;
constexpr KeywordTable keyword_kernels{kernels_for<float>, kernels_for<double>};

}  // namespace likewise::kernels::LIKEWISE_LEVEL
