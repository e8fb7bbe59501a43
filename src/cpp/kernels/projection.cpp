// Inner loops of projections. The order of additions is part of what a seed promises: equal bits at every level. A
// butterfly (a + b, a - b) within a register is one shuffle and one addition.
#include "kernels/simd.hpp"
#include "kernels/table.hpp"

namespace likewise::kernels::LIKEWISE_LEVEL {
namespace {

template <class T>
inline constexpr std::size_t parts = kFoldLanes / lanes<T>;  // registers of 16 values

/// The butterflies of distance 1, 2, ... below the register's width, step by step in N registers: they do not wait for
/// one another.
template <class T, std::size_t N, std::size_t H = 1>
inline void transform_lanes(vec<T>* v) {
  if constexpr (H < lanes<T>) {
#pragma GCC unroll 16
    for (std::size_t i = 0; i < N; ++i) v[i] = butterfly_lanes<H, T>(v[i]);
    transform_lanes<T, N, 2 * H>(v);
  }
}

/// Butterflies of distance H, 2 * H, ... registers, below N.
template <class T, std::size_t N, std::size_t H>
inline void transform_registers(vec<T>* t) {
  if constexpr (H < N) {
#pragma GCC unroll 64
    for (std::size_t pair = 0; pair < N / 2; ++pair) {
      vec<T>*first = t + pair / H * 2 * H + pair % H, *second = first + H;
      const vec<T> a = *first, b = *second;
      *first = a + b;
      *second = a - b;
    }
    transform_registers<T, N, 2 * H>(t);
  }
}

template <class T, std::size_t V>
void fold(const T* x, std::size_t n_blocks, const FoldVector* vectors, T* sums) {
  constexpr std::size_t n = V * parts<T>, at_once = kBytes == 64 ? 16 : 8;  // as many as registers hold, with room
  constexpr std::size_t together = n < at_once ? n : at_once;
  for (std::size_t g = 0; g < n_blocks; ++g, x += V * kFoldLanes, vectors += V) {
    vec<T> t[n];
#pragma GCC unroll 32
    for (std::size_t first = 0; first < n; first += together) {
#pragma GCC unroll 16
      for (std::size_t i = first; i < first + together; ++i)
        t[i] = flip_signs_at<T>(load(x + i * lanes<T>), &vectors[i / parts<T>].before, i % parts<T>);
      transform_lanes<T, together>(t + first);
      transform_registers<T, together, 1>(t + first);
    }
    transform_registers<T, n, together>(t);
#pragma GCC unroll 128
    for (std::size_t i = 0; i < n; ++i) {
      T* at = sums + std::size_t{vectors[i / parts<T>].slot} * kFoldLanes + i % parts<T> * lanes<T>;
      store(at, load(at) + flip_signs_at<T>(t[i], &vectors[i / parts<T>].after, i % parts<T>));
    }
  }
}

template <class T>
void add_slots(const std::uint32_t* codes, std::size_t per_column, const std::uint32_t* columns, const T* values,
               std::size_t n, T* sums, std::size_t width) {
  for (std::size_t i = 0; i < n; ++i) {
    const vec<T> v = broadcast(values[i]);
    T* half = sums + columns[i] % 2 * width;
    for (std::size_t e = 0; e < per_column; ++e) {
      const std::uint32_t code = *codes++;
      T* slot = half + std::size_t{code >> 16} * kFoldLanes;
#pragma GCC unroll 8
      for (std::size_t p = 0; p < parts<T>; ++p) {
        T* at = slot + p * lanes<T>;
        store(at, load(at) + flip_signs<T>(v, (code & 0xFFFF) >> (p * lanes<T>)));
      }
    }
  }
}

template <class T>
void add_rows(const std::uint32_t* codes, const std::uint32_t* starts, std::size_t per_column, const T* values,
              std::size_t n, T* sums, std::size_t width) {
  alignas(64) T both[2][kFoldLanes];
  for (std::size_t i = 0; i < n; ++i, values += kFoldLanes) {
    for (std::size_t p = 0; p < kFoldLanes; p += lanes<T>) {
      const vec<T> v = load(values + p);
      store(both[0] + p, v);
      store(both[1] + p, -v);
    }
    T* half = sums + i % 2 * width * kFoldLanes;
    const std::size_t begin = starts != nullptr ? starts[i] : i * per_column;
    const std::size_t end = starts != nullptr ? starts[i + 1] : begin + per_column;
    for (std::size_t e = begin; e < end; ++e) {
      const T* v = both[codes[e] & 1];
      T* at = half + std::size_t{codes[e] >> 1} * kFoldLanes;
#pragma GCC unroll 8
      for (std::size_t p = 0; p < kFoldLanes; p += lanes<T>) store(at + p, load(at + p) + load(v + p));
    }
  }
}

void philox(const std::uint32_t* i, const std::uint32_t* block, std::size_t n, std::uint32_t tag, std::uint64_t key,
            std::uint32_t* words) {
  using V = vec<std::uint64_t>;
  constexpr std::size_t w = lanes<std::uint64_t>;
  const V first = broadcast<std::uint64_t>(0xD2511F53), second = broadcast<std::uint64_t>(0xCD9E8D57);
  for (std::size_t j = 0; j < n; j += w) {
    std::uint32_t counters[2][w] = {};
    const std::size_t count = n - j < w ? n - j : w;
    const std::uint32_t *at_i = i + j, *at_block = block + j;
    if (count < w) {
      for (std::size_t l = 0; l < count; ++l) {
        counters[0][l] = i[j + l];
        counters[1][l] = block[j + l];
      }
      at_i = counters[0];
      at_block = counters[1];
    }
    V c0 = load_u32(at_i), c1{}, c2 = load_u32(at_block), c3 = broadcast<std::uint64_t>(tag);
    std::uint32_t k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
    for (int round = 0; round < 10; ++round) {
      const V a = multiply_low(first, c0), b = multiply_low(second, c2);  // what high halves hold does not matter
      c0 = (b >> 32) ^ c1 ^ broadcast<std::uint64_t>(k0);
      c1 = b;
      c2 = (a >> 32) ^ c3 ^ broadcast<std::uint64_t>(k1);
      c3 = a;
      k0 += 0x9E3779B9;
      k1 += 0xBB67AE85;
    }
    const V found[4] = {c0, c1, c2, c3};
    for (std::size_t word = 0; word < 4; ++word) {
      if (count == w) {
        store_low(words + word * n + j, found[word]);
      } else {
        for (std::size_t l = 0; l < count; ++l) words[word * n + j + l] = static_cast<std::uint32_t>(found[word][l]);
      }
    }
  }
}

/// As many rows at a time as registers hold sums of.
template <class T, std::size_t Rows>
void multiply_rows(const T* entries, std::size_t n_columns, const T* x, std::size_t x_stride, T* sums,
                   std::size_t sums_stride) {
  vec<T> s[Rows][parts<T>];
  for (std::size_t r = 0; r < Rows; ++r)
    for (std::size_t p = 0; p < parts<T>; ++p) s[r][p] = load(sums + r * sums_stride + p * lanes<T>);
  for (std::size_t c = 0; c < n_columns; ++c) {
    vec<T> e[parts<T>];
    for (std::size_t p = 0; p < parts<T>; ++p) e[p] = load(entries + c * kPanelWidth + p * lanes<T>);
#pragma GCC unroll 16
    for (std::size_t r = 0; r < Rows; ++r) {
      const vec<T> v = broadcast(x[r * x_stride + c]);
#pragma GCC unroll 8
      for (std::size_t p = 0; p < parts<T>; ++p) s[r][p] += v * e[p];
    }
  }
  for (std::size_t r = 0; r < Rows; ++r)
    for (std::size_t p = 0; p < parts<T>; ++p) store(sums + r * sums_stride + p * lanes<T>, s[r][p]);
}
template <class T>
void multiply_panel(const T* entries, std::size_t n_columns, const T* x, std::size_t x_stride, std::size_t n_rows,
                    T* sums, std::size_t sums_stride) {
  constexpr std::size_t kRows = 12 / parts<T> > 1 ? 12 / parts<T> : 1;
  std::size_t r = 0;
  for (; r + kRows <= n_rows; r += kRows)
    multiply_rows<T, kRows>(entries, n_columns, x + r * x_stride, x_stride, sums + r * sums_stride, sums_stride);
  for (; r < n_rows; ++r)
    multiply_rows<T, 1>(entries, n_columns, x + r * x_stride, x_stride, sums + r * sums_stride, sums_stride);
}

template <class T>
void hadamard(T* values, std::size_t n) {
  std::size_t h = 1;
  if (n >= lanes<T>) {
    for (std::size_t i = 0; i < n; i += lanes<T>) {
      vec<T> v = load(values + i);
      transform_lanes<T, 1>(&v);
      store(values + i, v);
    }
    for (h = lanes<T>; h < n; h *= 2)
      for (std::size_t i = 0; i < n; i += 2 * h)
        for (std::size_t j = i; j < i + h; j += lanes<T>) {
          const vec<T> a = load(values + j), b = load(values + j + h);
          store(values + j, a + b);
          store(values + j + h, a - b);
        }
    return;
  }
  for (; h < n; h *= 2)
    for (std::size_t i = 0; i < n; i += 2 * h)
      for (std::size_t j = i; j < i + h; ++j) {
        const T a = values[j], b = values[j + h];
        values[j] = a + b;
        values[j + h] = a - b;
      }
}

/// v * 0 is 0 for a finite value and NaN for any other, and a sum keeps the NaN.
template <class T>
bool all_zero(vec<T> sum) {
  return greater_bits(sum, broadcast<T>(-1)) == (std::uint64_t{1} << lanes<T>) - 1;
}
template <class T>
bool all_finite(const T* values, std::size_t n) {
  std::size_t i = 0;
  vec<T> found[4] = {};
  for (; i + 4 * lanes<T> <= n; i += 4 * lanes<T>)
    for (std::size_t j = 0; j < 4; ++j) found[j] += load(values + i + j * lanes<T>) * T(0);
  T rest = 0;
  for (; i < n; ++i) rest += values[i] * T(0);
  return all_zero<T>((found[0] + found[1]) + (found[2] + found[3]) + rest);
}

template <class T, bool Both>
bool take_scaled(T* sums, std::size_t n, T factor, T* out) {
  std::size_t i = 0;
  const vec<T> f = broadcast(factor);
  vec<T> found{};
  for (; i + lanes<T> <= n; i += lanes<T>) {
    vec<T> v = load(sums + i);
    store(sums + i, vec<T>{});
    if constexpr (Both) {
      v += load(sums + n + i);
      store(sums + n + i, vec<T>{});
    }
    v *= f;
    store(out + i, v);
    found += v * T(0);
  }
  T rest = 0;
  for (; i < n; ++i) {
    T v = sums[i];
    sums[i] = 0;
    if constexpr (Both) {
      v += sums[n + i];
      sums[n + i] = 0;
    }
    out[i] = v * factor;
    rest += out[i] * T(0);
  }
  return all_zero<T>(found + rest);
}

void hamming(const std::uint8_t* code, const std::uint8_t* codes, std::size_t n_codes, std::size_t n_bytes,
             std::int32_t* distances) {
  for (std::size_t j = 0; j < n_codes; ++j, codes += n_bytes) {
    std::uint64_t bits = 0;
    std::size_t i = 0;
    for (; i + 8 <= n_bytes; i += 8) {
      std::uint64_t a, b;
      std::memcpy(&a, code + i, 8);
      std::memcpy(&b, codes + i, 8);
      bits += static_cast<std::uint64_t>(__builtin_popcountll(a ^ b));
    }
    for (; i < n_bytes; ++i)
      bits += static_cast<std::uint64_t>(__builtin_popcount(static_cast<unsigned>(code[i] ^ codes[i])));
    distances[j] = static_cast<std::int32_t>(bits);
  }
}

template <class T>
constexpr ProjectionKernels<T> kernels_for{{fold<T, 1>, fold<T, 2>, fold<T, 4>, fold<T, 8>, fold<T, 16>},
                                           add_slots<T>, add_rows<T>, multiply_panel<T>, hadamard<T>,
                                           take_scaled<T, false>, take_scaled<T, true>, all_finite<T>};

}  // namespace

extern const ProjectionTable projection_kernels;
constexpr ProjectionTable projection_kernels{kernels_for<float>, kernels_for<double>, philox, hamming};

}  // namespace likewise::kernels::LIKEWISE_LEVEL
