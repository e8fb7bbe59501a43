// Inner loops of Word Mover's Distance: distances of words to the words of a query, and the lower bounds that follow
// from them. The words of the query lie in the lanes, 16 (or a multiple, `stride`) a row of the table, so that a word
// of a document is one load of neighbouring distances, and no sum across a register is needed. Lanes behind the last
// word of the query repeat its first word and weigh nothing.
#include "kernels/simd.hpp"
#include "kernels/table.hpp"

namespace likewise::kernels::LIKEWISE_LEVEL {
namespace {

template <class T>
inline constexpr std::size_t parts = kQueryLanes / lanes<T>;  // registers of 16 distances

constexpr std::size_t kChains = 4;  // sums that do not wait for one another; part of the result, so the same everywhere

template <class T>
inline vec<T> add_square(T word, vec<T> query, vec<T> sum) {
  const vec<T> d = broadcast(word) - query;
  return multiply_add<T>(d, d, sum);
}

/// One register of query words against N rows at once.
template <class T, std::size_t N>
inline void distances_of(const T* const* rows, std::size_t dim, const T* queries, std::size_t stride, T* out) {
  vec<T> sums[N][kChains] = {};
  std::size_t h = 0;
  for (; h + kChains <= dim; h += kChains)
#pragma GCC unroll 4
    for (std::size_t c = 0; c < kChains; ++c) {
      const vec<T> q = load(queries + (h + c) * stride);
#pragma GCC unroll 4
      for (std::size_t r = 0; r < N; ++r) sums[r][c] = add_square<T>(rows[r][h + c], q, sums[r][c]);
    }
  for (std::size_t c = 0; h < dim; ++h, ++c) {
    const vec<T> q = load(queries + h * stride);
    for (std::size_t r = 0; r < N; ++r) sums[r][c] = add_square<T>(rows[r][h], q, sums[r][c]);
  }
  for (std::size_t r = 0; r < N; ++r)
    store(out + r * stride, square_root<T>((sums[r][0] + sums[r][1]) + (sums[r][2] + sums[r][3])));
}

template <class T>
T distances(const T* vectors, const std::int32_t* rows, std::size_t n, std::size_t dim, const T* queries,
            std::size_t stride, T* out, T* nearest) {
  constexpr std::size_t kRows = kBytes == 64 ? 4 : 2;  // with their chains, half of the registers
  // One register of the query's words after another: its column of `queries` stays in the L1 cache.
  for (std::size_t i = 0; i < stride; i += lanes<T>)
    for (std::size_t j = 0; j < n;) {
      const std::size_t count = n - j < kRows ? 1 : kRows;
      const T* at[kRows];
      for (std::size_t r = 0; r < count; ++r) at[r] = vectors + static_cast<std::size_t>(rows[j + r]) * dim;
      if (count == kRows) {
        distances_of<T, kRows>(at, dim, queries + i, stride, out + j * stride + i);
      } else {
        distances_of<T, 1>(at, dim, queries + i, stride, out + j * stride + i);
      }
      j += count;
    }
  vec<T> high{};
  for (std::size_t j = 0; j < n; ++j) {
    vec<T> low = load(out + j * stride);
    high = maximum(high, low);
    for (std::size_t i = lanes<T>; i < stride; i += lanes<T>) {
      const vec<T> d = load(out + j * stride + i);
      low = minimum(low, d);
      high = maximum(high, d);
    }
    nearest[j] = smallest<T>(low);
  }
  return max_lanes<T>(high);
}

/// Sum of weights[i] * values[i] of 16 lanes.
template <class T>
inline double weigh(const double* weights, const vec<T>* values) {
  alignas(64) T v[kQueryLanes];
  for (std::size_t p = 0; p < parts<T>; ++p) store(v + p * lanes<T>, values[p]);
  double sums[4] = {};
  for (std::size_t i = 0; i < kQueryLanes; i += 4)
    for (std::size_t c = 0; c < 4; ++c) sums[c] += weights[i + c] * static_cast<double>(v[i + c]);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

template <class T>
void bounds(const T* distances, const T* nearest, std::size_t stride, const std::int64_t* indptr,
            const std::int32_t* words, const double* weights, const double* query_weights, std::size_t n,
            double* forward, double* backward, double* improved) {
  for (std::size_t d = 0; d < n; ++d) {
    const std::size_t begin = static_cast<std::size_t>(indptr[d]), end = static_cast<std::size_t>(indptr[d + 1]);
    double sums[4] = {};
    for (std::size_t p = begin; p < end; ++p)
      sums[p % 4] += weights[p] * static_cast<double>(nearest[words[p]]);
    const double moved = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    double to_query = 0, rest = 0;
    for (std::size_t i = 0; i < stride; i += kQueryLanes) {
      vec<T> low[parts<T>], excess[parts<T>];
      for (std::size_t q = 0; q < parts<T>; ++q) low[q] = excess[q] = broadcast(std::numeric_limits<T>::max());
      for (std::size_t p = begin; p < end; ++p) {
        const std::size_t word = static_cast<std::size_t>(words[p]);
        const T* row = distances + word * stride + i;
        const vec<T> base = broadcast(nearest[word]);
#pragma GCC unroll 8
        for (std::size_t q = 0; q < parts<T>; ++q) {
          const vec<T> v = load(row + q * lanes<T>);
          low[q] = minimum(low[q], v);
          excess[q] = minimum(excess[q], v - base);
        }
      }
      to_query += weigh<T>(query_weights + i, low);
      rest += weigh<T>(query_weights + i, excess);
    }
    forward[d] = moved;
    backward[d] = to_query;
    improved[d] = moved + rest;
  }
}

template <class T>
double transform(const T* distances, std::size_t stride, const std::int32_t* words, const double* weights,
                 std::size_t n, const T* potentials, T* next) {
  double sum = 0;
  for (std::size_t p = 0; p < n; ++p) {
    const T* row = distances + static_cast<std::size_t>(words[p]) * stride;
    vec<T> low = load(row) - load(potentials);
    for (std::size_t i = lanes<T>; i < stride; i += lanes<T>) low = minimum(low, load(row + i) - load(potentials + i));
    const T v = smallest<T>(low);
    sum += weights[p] * static_cast<double>(v);
    const vec<T> all = broadcast(v);
    for (std::size_t i = 0; i < stride; i += lanes<T>) {
      const vec<T> slack = load(row + i) - all;
      store(next + i, p == 0 ? slack : minimum(load(next + i), slack));
    }
  }
  return sum;
}

template <class T>
void affinities(const T* distances, const std::int32_t* rows, std::size_t n, std::size_t stride, std::size_t n_columns,
                T scale, float* out) {
  const std::size_t width = (n + kQueryLanes - 1) / kQueryLanes * kQueryLanes;
  const vec<float> factor = broadcast(static_cast<float>(-scale));
  for (std::size_t j = 0; j < n; ++j) {
    const T* row = distances + static_cast<std::size_t>(rows[j]) * stride;
    for (std::size_t i = 0; i < n_columns; i += lanes<float>) {
      float d[lanes<float>];
      for (std::size_t l = 0; l < lanes<float>; ++l) d[l] = static_cast<float>(row[i + l]);
      store(d, exp(load(d) * factor));
      for (std::size_t l = 0; l < lanes<float> && i + l < n_columns; ++l) out[(i + l) * width + j] = d[l];
    }
  }
  for (std::size_t i = 0; i < n_columns; ++i)
    for (std::size_t j = n; j < width; ++j) out[i * width + j] = 0;
}

void sweep(const float* affinities, std::size_t n, std::size_t n_columns, const float* weights, const float* scaling,
           float* others, float* sums) {
  const std::size_t width = (n + kQueryLanes - 1) / kQueryLanes * kQueryLanes;
  for (std::size_t j = 0; j < width; j += lanes<float>) {
    vec<float> sum = broadcast(std::numeric_limits<float>::min());  // not 0 / 0 behind the last word
    for (std::size_t i = 0; i < n_columns; ++i)
      sum = multiply_add<float>(load(affinities + i * width + j), broadcast(scaling[i]), sum);
    store(others + j, load(weights + j) / sum);
  }
  for (std::size_t i = 0; i < n_columns; ++i) {
    vec<float> sum{};
    for (std::size_t j = 0; j < width; j += lanes<float>)
      sum = multiply_add<float>(load(affinities + i * width + j), load(others + j), sum);
    sums[i] = sum_lanes<float>(sum);
  }
}

template <class T>
void multiply(const T* x, std::size_t n, double factor, T* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<T>(static_cast<double>(x[i]) * factor);
}

/// By blocks of 4 x 4: a quarter of the stores.
template <class T>
void columns(const T* const* rows, std::size_t n, std::size_t dim, T* out) {
  std::size_t h = 0;
  for (; h + 4 <= dim; h += 4)
    for (std::size_t i = 0; i < n; i += 4) {
      four<T> block[4];
#pragma GCC unroll 4
      for (std::size_t k = 0; k < 4; ++k) std::memcpy(&block[k], rows[i + k] + h, sizeof block[k]);
      transpose<T>(block);
#pragma GCC unroll 4
      for (std::size_t k = 0; k < 4; ++k) std::memcpy(out + (h + k) * n + i, &block[k], sizeof block[k]);
    }
  for (; h < dim; ++h)
    for (std::size_t i = 0; i < n; ++i) out[h * n + i] = rows[i][h];
}

}  // namespace

const DocumentTable document_kernels = {
    {distances<float>, bounds<float>, transform<float>, affinities<float>, multiply<float>, columns<float>},
    {distances<double>, bounds<double>, transform<double>, affinities<double>, multiply<double>,
     columns<double>},
    sweep,
};

}  // namespace likewise::kernels::LIKEWISE_LEVEL
