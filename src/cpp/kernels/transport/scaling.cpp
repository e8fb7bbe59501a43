// Sinkhorn's half steps with a stored kernel, and the vector work around them.
#include "kernels/simd.hpp"
#include "kernels/table.hpp"

namespace likewise::kernels::LIKEWISE_LEVEL {
namespace {

template <std::size_t R>
void row_sums_of(const float* k, std::size_t stride, const float* v, std::size_t m, double* sums) {
  double totals[R] = {};
  for (std::size_t j = 0; j < m;) {
    const std::size_t end = m - j < 1024 ? m : j + 1024;  // short sums in float32
    vec<float> sum[R] = {};
    for (; j < end; j += lanes<float>) {
      const vec<float> factor = load(v + j);
#pragma GCC unroll 4
      for (std::size_t r = 0; r < R; ++r) sum[r] = multiply_add<float>(load(k + r * stride + j), factor, sum[r]);
    }
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R; ++r) totals[r] += static_cast<double>(sum_lanes<float>(sum[r]));
  }
  for (std::size_t r = 0; r < R; ++r) sums[r] = totals[r];
}

void row_sums(const float* k, std::size_t stride, std::size_t n_rows, const float* v, std::size_t m, double* sums) {
  if (n_rows == 4) {
    row_sums_of<4>(k, stride, v, m, sums);
  } else {
    for (std::size_t r = 0; r < n_rows; ++r) row_sums_of<1>(k + r * stride, stride, v, m, sums + r);
  }
}

void add_rows(const float* k, std::size_t stride, std::size_t n_rows, const float* w, std::size_t m, float* columns) {
  if (n_rows == 4) {
    const vec<float> w0 = broadcast(w[0]), w1 = broadcast(w[1]), w2 = broadcast(w[2]), w3 = broadcast(w[3]);
    const float *k1 = k + stride, *k2 = k + 2 * stride, *k3 = k + 3 * stride;
    for (std::size_t j = 0; j < m; j += lanes<float>) {  // one rounding of the sum for four rows
      // These four are in the cache by now: memory fetches the next ones in the meantime.
#pragma GCC unroll 4
      for (std::size_t r = 4; r < 8; ++r) __builtin_prefetch(k + r * stride + j, 0, 2);
      const vec<float> a = multiply_add<float>(load(k1 + j), w1, load(k + j) * w0);
      const vec<float> b = multiply_add<float>(load(k3 + j), w3, load(k2 + j) * w2);
      store(columns + j, load(columns + j) + (a + b));
    }
  } else {
    for (std::size_t r = 0; r < n_rows; ++r)
      for (std::size_t j = 0; j < m; j += lanes<float>)
        store(columns + j, multiply_add<float>(load(k + r * stride + j), broadcast(w[r]), load(columns + j)));
  }
}

constexpr std::size_t kTile = kTileRows * kTileColumns;

void tile_sums(const float* tiles, const std::uint32_t* blocks, std::size_t n_tiles, const float* v, double* sums) {
  vec<float> total[kTileRows] = {};
  for (std::size_t part = 0; part < kTileColumns; part += lanes<float>)
    for (std::size_t t = 0; t < n_tiles; ++t) {
      const vec<float> factor = load(v + std::size_t{blocks[t]} * kTileColumns + part);
      const float* tile = tiles + t * kTile + part;
#pragma GCC unroll 8
      for (std::size_t r = 0; r < kTileRows; ++r)
        total[r] = multiply_add<float>(load(tile + r * kTileColumns), factor, total[r]);
    }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kTileRows; ++r) sums[r] = static_cast<double>(sum_lanes<float>(total[r]));
}

void add_tiles(const float* tiles, const std::uint32_t* blocks, std::size_t n_tiles, const float* w, float* columns) {
  vec<float> weight[kTileRows];
  for (std::size_t r = 0; r < kTileRows; ++r) weight[r] = broadcast(w[r]);
  for (std::size_t t = 0; t < n_tiles; ++t)
    for (std::size_t part = 0; part < kTileColumns; part += lanes<float>) {
      const float* tile = tiles + t * kTile + part;
      float* at = columns + std::size_t{blocks[t]} * kTileColumns + part;
      vec<float> even = load(tile) * weight[0], odd = load(tile + kTileColumns) * weight[1];
#pragma GCC unroll 8
      for (std::size_t r = 2; r < kTileRows; r += 2) {
        even = multiply_add<float>(load(tile + r * kTileColumns), weight[r], even);
        odd = multiply_add<float>(load(tile + (r + 1) * kTileColumns), weight[r + 1], odd);
      }
      store(at, load(at) + (even + odd));
    }
}

void flush(float* columns, std::size_t m, double* sums) {
  for (std::size_t j = 0; j < m; j += lanes<double>) {
    store(sums + j, load(sums + j) + load_doubles(columns + j));
    for (std::size_t i = j; i < j + lanes<double>; ++i) columns[i] = 0;
  }
}

/// The last count < lanes<double> numbers, filled up.
inline vec<double> load_tail(const double* p, std::size_t count, double fill) {
  vec<double> v = broadcast(fill);
  for (std::size_t i = 0; i < count; ++i) v[i] = p[i];
  return v;
}
template <class T>
inline void store_tail(T* p, vec<double> v, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) p[i] = static_cast<T>(v[i]);
}
inline vec<double> absolute(vec<double> v) { return maximum(v, -v); }

double exp_differences(const double* x, const double* reference, std::size_t m, float* factors) {
  vec<double> largest{};
  std::size_t j = 0;
  for (; j + lanes<float> <= m; j += lanes<float>) {
    const vec<double> a = load(x + j) - load(reference + j),
                      b = load(x + j + lanes<double>) - load(reference + j + lanes<double>);
    largest = maximum(largest, maximum(absolute(a), absolute(b)));
    // Not float32's exponential: it is biased where x is close to 0, and all of them may be.
    store(factors + j, to_floats(exp(a), exp(b)));
  }
  for (; j < m; j += lanes<double>) {
    const std::size_t count = m - j < lanes<double> ? m - j : lanes<double>;
    const vec<double> a = load_tail(x + j, count, 0) - load_tail(reference + j, count, 0);
    largest = maximum(largest, absolute(a));
    store_tail(factors + j, exp(a), count);
  }
  return max_lanes<double>(largest);
}

double column_step(const double* sums, const double* b, const double* x, std::size_t m, double light, double* image) {
  vec<double> error{};
  std::uint32_t unsafe = 0;
  for (std::size_t j = 0; j < m; j += lanes<double>) {
    const std::size_t count = m - j < lanes<double> ? m - j : lanes<double>;
    const bool whole = count == lanes<double>;
    const vec<double> weight = whole ? load(b + j) : load_tail(b + j, count, 0),
                      sum = whole ? load(sums + j) : load_tail(sums + j, count, 0),
                      old = whole ? load(x + j) : load_tail(x + j, count, 0);
    const auto idle = !(weight > light);
    const vec<double> one = broadcast(1.0);
    vec<double> ratio = weight / sum;
    ratio = idle ? one : ratio;
    unsafe |= greater_bits(ratio, broadcast(1e30)) | greater_bits(broadcast(1e-30), ratio);
    error += idle ? vec<double>{} : absolute(sum - weight);
    const vec<double> fresh = old + log(ratio);
    if (whole) {
      store(image + j, fresh);
    } else {
      store_tail(image + j, fresh, count);
    }
  }
  return unsafe != 0 ? __builtin_inf() : sum_lanes<double>(error);
}

void differences(const double* image, const double* weights, std::size_t m, double* x, double* last_residual,
                 double* last_image, double* weighted, float* residual_difference, float* image_difference) {
  for (std::size_t j = 0; j < m; ++j) {
    const double residual = image[j] - x[j];
    residual_difference[j] = static_cast<float>(residual - last_residual[j]);
    image_difference[j] = static_cast<float>(image[j] - last_image[j]);
    weighted[j] = weights[j] * residual;
    last_residual[j] = residual;
    last_image[j] = image[j];
    x[j] = image[j];
  }
}

void products(const float* vectors, std::size_t n_vectors, const double* y, std::size_t m, double* out) {
  for (std::size_t k = 0; k < n_vectors; ++k, vectors += m) {
    vec<double> a{}, b{};
    std::size_t j = 0;
    for (; j + 2 * lanes<double> <= m; j += 2 * lanes<double>) {
      a = multiply_add<double>(load_doubles(vectors + j), load(y + j), a);
      b = multiply_add<double>(load_doubles(vectors + j + lanes<double>), load(y + j + lanes<double>), b);
    }
    double sum = sum_lanes<double>(a + b);
    for (; j < m; ++j) sum += static_cast<double>(vectors[j]) * y[j];
    out[k] = sum;
  }
}

void subtract(const float* vectors, std::size_t n_vectors, const double* theta, std::size_t m, double* y) {
  std::size_t j = 0;
  for (; j + lanes<double> <= m; j += lanes<double>) {
    vec<double> v = load(y + j);
    for (std::size_t k = 0; k < n_vectors; ++k)
      v = multiply_add<double>(load_doubles(vectors + k * m + j), broadcast(-theta[k]), v);
    store(y + j, v);
  }
  for (; j < m; ++j)
    for (std::size_t k = 0; k < n_vectors; ++k) y[j] -= theta[k] * static_cast<double>(vectors[k * m + j]);
}

}  // namespace

extern const ScalingKernels scaling_kernels{&row_sums,        &add_rows,    &tile_sums,   &add_tiles, &flush,
                                            &exp_differences, &column_step, &differences, &products,  &subtract};

}  // namespace likewise::kernels::LIKEWISE_LEVEL
