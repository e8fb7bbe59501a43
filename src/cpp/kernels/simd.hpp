// The vector types and operations of the kernels: GCC/Clang vector extensions at the native width of the level that
// the file is compiled for. The only file that may hold an intrinsic. System headers are included before the
// level's namespace opens, so that no inline function of theirs is compiled twice under one name.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#ifndef LIKEWISE_LEVEL
#error "kernels are compiled once per CPU level: define LIKEWISE_LEVEL"
#endif

namespace likewise::kernels::LIKEWISE_LEVEL {

#if defined(__AVX512F__)
inline constexpr std::size_t kBytes = 64;
#elif defined(__AVX2__)
inline constexpr std::size_t kBytes = 32;
#else
inline constexpr std::size_t kBytes = 16;
#endif

template <class T>
struct vector_of {
  typedef T type __attribute__((vector_size(kBytes)));
};
template <class T>
using vec = typename vector_of<T>::type;
template <class T>
inline constexpr std::size_t lanes = kBytes / sizeof(T);

/// Unaligned load and store, by one register's copy each.
template <class T>
inline vec<T> load(const T* p) {
  vec<T> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
inline void store(T* p, vec<T> v) {
  std::memcpy(p, &v, sizeof v);
}
template <class T>
inline vec<T> broadcast(T x) {
  return x - vec<T>{};
}

/// lanes<double> numbers as double.
inline vec<double> load_doubles(const double* p) { return load(p); }
inline vec<double> load_doubles(const float* p) {
#if defined(__AVX512F__)  // in one instruction; GCC 12 converts halves
  return (vec<double>)_mm512_maskz_cvtps_pd(0xFF, _mm256_loadu_ps(p));
#elif defined(__AVX2__)
  return (vec<double>)_mm256_cvtps_pd(_mm_loadu_ps(p));
#else
  typedef float narrow __attribute__((vector_size(kBytes / 2)));
  narrow v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, vec<double>);
#endif
}

/// One bit a lane: where a > b.
inline std::uint32_t greater_bits(vec<float> a, vec<float> b) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GT_OQ);
#elif defined(__AVX2__)
  return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps((__m256)a, (__m256)b, _CMP_GT_OQ)));
#elif defined(__SSE2__)
  return static_cast<std::uint32_t>(_mm_movemask_ps(_mm_cmpgt_ps((__m128)a, (__m128)b)));
#else
  std::uint32_t bits = 0;
  const vec<std::int32_t> m = a > b;
  for (std::size_t i = 0; i < lanes<float>; ++i) bits |= static_cast<std::uint32_t>(m[i] & 1) << i;
  return bits;
#endif
}
inline std::uint32_t greater_bits(vec<double> a, vec<double> b) {
#if defined(__AVX512F__)
  return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_GT_OQ);
#elif defined(__AVX2__)
  return static_cast<std::uint32_t>(_mm256_movemask_pd(_mm256_cmp_pd((__m256d)a, (__m256d)b, _CMP_GT_OQ)));
#elif defined(__SSE2__)
  return static_cast<std::uint32_t>(_mm_movemask_pd(_mm_cmpgt_pd((__m128d)a, (__m128d)b)));
#else
  std::uint32_t bits = 0;
  const vec<std::int64_t> m = a > b;
  for (std::size_t i = 0; i < lanes<double>; ++i) bits |= static_cast<std::uint32_t>(m[i] & 1) << i;
  return bits;
#endif
}

/// The larger of each pair of lanes; b where one is NaN.
inline vec<float> maximum(vec<float> a, vec<float> b) {
#if defined(__AVX512F__)
  return (vec<float>)_mm512_maskz_max_ps(0xFFFF, (__m512)a, (__m512)b);  // of the choice below GCC makes two steps
#else
  return a > b ? a : b;
#endif
}
inline vec<double> maximum(vec<double> a, vec<double> b) {
#if defined(__AVX512F__)
  return (vec<double>)_mm512_maskz_max_pd(0xFF, (__m512d)a, (__m512d)b);
#else
  return a > b ? a : b;
#endif
}

/// The smaller of each pair of lanes; b where one is NaN.
inline vec<float> minimum(vec<float> a, vec<float> b) {
#if defined(__AVX512F__)
  return (vec<float>)_mm512_maskz_min_ps(0xFFFF, (__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (vec<float>)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
  return (vec<float>)_mm_min_ps((__m128)a, (__m128)b);
#else
  return a < b ? a : b;
#endif
}
inline vec<double> minimum(vec<double> a, vec<double> b) {
#if defined(__AVX512F__)
  return (vec<double>)_mm512_maskz_min_pd(0xFF, (__m512d)a, (__m512d)b);
#elif defined(__AVX2__)
  return (vec<double>)_mm256_min_pd((__m256d)a, (__m256d)b);
#elif defined(__SSE2__)
  return (vec<double>)_mm_min_pd((__m128d)a, (__m128d)b);
#else
  return a < b ? a : b;
#endif
}

/// a * b + c; rounded once where the level has fma, so that levels differ in the last bit.
template <class T>
inline vec<T> multiply_add(vec<T> a, vec<T> b, vec<T> c) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return (vec<T>)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
  } else {
    return (vec<T>)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
  }
#elif defined(__FMA__)
  if constexpr (sizeof(T) == 4) {
    return (vec<T>)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
  } else {
    return (vec<T>)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
  }
#else
  return a * b + c;
#endif
}

/// The same, or rounded twice at every level where equal bits are wanted.
template <bool Fused, class T>
inline vec<T> multiply_then_add(vec<T> a, vec<T> b, vec<T> c) {
  if constexpr (Fused) {
    return multiply_add<T>(a, b, c);
  } else {
    return a * b + c;
  }
}

/// a * b + c rounded once at every level, provided that float64 holds the sum exactly.
inline vec<float> multiply_add_exactly(vec<float> a, vec<float> b, vec<float> c) {
#if defined(__AVX512F__) || defined(__FMA__)
  return multiply_add<float>(a, b, c);
#else
  typedef float half __attribute__((vector_size(kBytes / 2)));
  half parts[3][2];
  std::memcpy(parts[0], &a, sizeof a);
  std::memcpy(parts[1], &b, sizeof b);
  std::memcpy(parts[2], &c, sizeof c);
  half sums[2];
  for (int i = 0; i < 2; ++i)
    sums[i] = __builtin_convertvector(__builtin_convertvector(parts[0][i], vec<double>) *
                                              __builtin_convertvector(parts[1][i], vec<double>) +
                                          __builtin_convertvector(parts[2][i], vec<double>),
                                      half);
  vec<float> v;
  std::memcpy(&v, sums, sizeof v);
  return v;
#endif
}

/// a / b, for b from 1e-38 to 1e38; in float32 within two units of the last place where a reciprocal is faster.
inline vec<float> quotient(vec<float> a, vec<float> b) {
#if defined(__AVX512F__)
  const vec<float> r = (vec<float>)_mm512_maskz_rcp14_ps(0xFFFF, (__m512)b);
  const vec<float> rest = (vec<float>)_mm512_fnmadd_ps((__m512)b, (__m512)r, (__m512)broadcast(1.0f));
  return a * multiply_add<float>(r, rest, r);
#else
  return a / b;
#endif
}
inline vec<double> quotient(vec<double> a, vec<double> b) { return a / b; }

/// Sum and largest of the lanes, pairs H apart first.
template <std::size_t H, class T, std::size_t... I>
inline vec<T> exchange_lanes(vec<T> v, std::index_sequence<I...>) {
  return __builtin_shufflevector(v, v, static_cast<int>(I ^ H)...);
}
template <class T, std::size_t H = lanes<T> / 2>
inline T sum_lanes(vec<T> v) {
  if constexpr (H == 0) {
    return v[0];
  } else {
    return sum_lanes<T, H / 2>(v + exchange_lanes<H, T>(v, std::make_index_sequence<lanes<T>>()));
  }
}
template <class T, std::size_t H = lanes<T> / 2>
inline T max_lanes(vec<T> v) {
  if constexpr (H == 0) {
    return v[0];
  } else {
    return max_lanes<T, H / 2>(maximum(v, exchange_lanes<H, T>(v, std::make_index_sequence<lanes<T>>())));
  }
}

/// The lanes of a, then those of b.
#if defined(__AVX512F__)
inline vec<float> to_floats(vec<double> a, vec<double> b) {  // GCC 12 moves the halves once more
  return (vec<float>)_mm512_insertf32x8(_mm512_castps256_ps512(_mm512_maskz_cvtpd_ps(0xFF, (__m512d)a)),
                                        _mm512_maskz_cvtpd_ps(0xFF, (__m512d)b), 1);
}
#else
template <std::size_t... I>
inline vec<float> to_floats(vec<double> a, vec<double> b, std::index_sequence<I...>) {
  typedef float half __attribute__((vector_size(kBytes / 2)));
  return __builtin_shufflevector(__builtin_convertvector(a, half), __builtin_convertvector(b, half),
                                 static_cast<int>(I)...);
}
inline vec<float> to_floats(vec<double> a, vec<double> b) {
  return to_floats(a, b, std::make_index_sequence<lanes<float>>());
}
#endif

/// Four numbers, whatever the width of a register.
template <class T>
struct four_of {
  typedef T type __attribute__((vector_size(4 * sizeof(T))));
};
template <class T>
using four = typename four_of<T>::type;

/// Rows of a 4 x 4 block to its columns.
template <class T>
inline void transpose(four<T> (&rows)[4]) {
  const four<T> low = __builtin_shufflevector(rows[0], rows[1], 0, 4, 1, 5);
  const four<T> low_rest = __builtin_shufflevector(rows[2], rows[3], 0, 4, 1, 5);
  const four<T> high = __builtin_shufflevector(rows[0], rows[1], 2, 6, 3, 7);
  const four<T> high_rest = __builtin_shufflevector(rows[2], rows[3], 2, 6, 3, 7);
  rows[0] = __builtin_shufflevector(low, low_rest, 0, 1, 4, 5);
  rows[1] = __builtin_shufflevector(low, low_rest, 2, 3, 6, 7);
  rows[2] = __builtin_shufflevector(high, high_rest, 0, 1, 4, 5);
  rows[3] = __builtin_shufflevector(high, high_rest, 2, 3, 6, 7);
}

/// e^x: 2^n p(r) with x = n ln 2 + r and the polynomial p of least relative error. 0 below -86 (double: -707), at most
/// e^88 (e^709). About 14 (20) operations; relative error below 1e-7 (4e-16).
inline vec<float> exp(vec<float> x) {
  constexpr float shift = 0x1.8p23f;  // puts the nearest integer into the low bits
  const vec<float> top = broadcast(88.0f), low = x;
  x = minimum(x, top);
  const vec<float> z = multiply_add<float>(x, broadcast(1.44269504f), broadcast(shift)), n = z - shift;
  vec<float> r = multiply_add<float>(n, broadcast(-0x1.62e4p-1f), x);
  r = multiply_add<float>(n, broadcast(-1.42860677e-6f), r);
  vec<float> p = broadcast(8.29764808e-3f);
  p = multiply_add<float>(p, r, broadcast(4.19154315e-2f));
  p = multiply_add<float>(p, r, broadcast(1.66675751e-1f));
  p = multiply_add<float>(p, r, broadcast(4.99988944e-1f));
  p = multiply_add<float>(p, r, broadcast(9.99999692e-1f));
  p = multiply_add<float>(p, r, broadcast(1.00000007f));
  const vec<float> e = (vec<float>)((vec<std::uint32_t>)p + ((vec<std::uint32_t>)z << 23));
  return low < -86.0f ? vec<float>{} : e;
}

/// x[r] = 2^x[r] for R registers, one step of all of them after another, so that none waits for its own last one. 0 below
/// -124, at most 2^126. About 12 operations each; relative error below 2e-7.
template <std::size_t R>
inline void exp2(vec<float> (&x)[R]) {
  constexpr float coefficients[] = {1.32546024e-3f, 9.67199918e-3f, 5.55077932e-2f, 0.240222319f, 0.69314693f, 1.0f};
  vec<float> z[R], r[R], p[R];
#if defined(__AVX512DQ__)
#pragma GCC unroll 4
  for (std::size_t i = 0; i < R; ++i) {
    r[i] = (vec<float>)_mm512_maskz_reduce_ps(0xFFFF, (__m512)x[i], 0);
    z[i] = x[i] - r[i];
  }
#else
#pragma GCC unroll 4
  for (std::size_t i = 0; i < R; ++i) {
    const vec<float> lower = minimum(x[i], broadcast(126.0f));
    z[i] = lower + 0x1.8p23f;
    r[i] = lower - (z[i] - 0x1.8p23f);
  }
#endif
#pragma GCC unroll 4
  for (std::size_t i = 0; i < R; ++i) p[i] = broadcast(coefficients[0]);
#pragma GCC unroll 5
  for (std::size_t k = 1; k < 6; ++k)
#pragma GCC unroll 4
    for (std::size_t i = 0; i < R; ++i) p[i] = multiply_add<float>(p[i], r[i], broadcast(coefficients[k]));
#pragma GCC unroll 4
  for (std::size_t i = 0; i < R; ++i) {
#if defined(__AVX512DQ__)
    x[i] = (vec<float>)_mm512_maskz_scalef_ps(0xFFFF, (__m512)p[i], (__m512)z[i]);
#else
    const vec<float> e = (vec<float>)((vec<std::uint32_t>)p[i] + ((vec<std::uint32_t>)z[i] << 23));
    x[i] = x[i] < -124.0f ? vec<float>{} : e;
#endif
  }
}

/// For -707 <= x <= 709 alone; without fused operations the bits are the same at every level.
template <bool Fused = true>
inline vec<double> exp_unclamped(vec<double> x) {
  constexpr double shift = 0x1.8p52;
  const vec<double> z = multiply_then_add<Fused, double>(x, broadcast(1.4426950408889634), broadcast(shift)), n = z - shift;
  vec<double> r = multiply_then_add<Fused, double>(n, broadcast(-0x1.62e42fefa38p-1), x);
  r = multiply_then_add<Fused, double>(n, broadcast(-5.497923018708371e-14), r);
  constexpr double coefficients[] = {
      2.49942933457304636e-8, 2.76323082244525444e-7,  2.75576226520244885e-6,  2.48014864812834982e-5,
      1.98412694324344383e-4, 1.38888889512612042e-3,  8.3333333335594518e-3,   4.1666666666492629e-2,
      1.66666666666661682e-1, 5.0000000000000177e-1,   1.0,                     1.0};
  vec<double> p = broadcast(coefficients[0]);
#pragma GCC unroll 11
  for (std::size_t i = 1; i < 12; ++i) p = multiply_then_add<Fused, double>(p, r, broadcast(coefficients[i]));
  return (vec<double>)((vec<std::uint64_t>)p + ((vec<std::uint64_t>)z << 52));
}
template <bool Fused = true>
inline vec<double> exp(vec<double> x) {
  const vec<double> e = exp_unclamped<Fused>(minimum(x, broadcast(709.0)));
  return x < -707.0 ? vec<double>{} : e;
}

/// The natural logarithm of normal numbers above 0: e ln 2 + 2 artanh((s - 1) / (s + 1)) with x = 2^e s and s within a
/// factor of sqrt 2 of 1. Relative error below 1e-15, also close to x = 1.
inline vec<double> log(vec<double> x) {
  constexpr std::int64_t root = 0x3FE6A09E667F3BCD;  // sqrt(1/2)
  constexpr double shift = 0x1.8p52;
  const vec<std::int64_t> bits = (vec<std::int64_t>)x - root;
  const vec<double> s = (vec<double>)((bits & 0xFFFFFFFFFFFFF) + root);
  const vec<double> exponent = (vec<double>)((bits >> 52) + 0x4338000000000000) - shift;
  const vec<double> z = (s - 1.0) / (s + 1.0), w = z * z;
  vec<double> p = broadcast(1.0 / 21);
#pragma GCC unroll 10
  for (int k = 19; k >= 1; k -= 2) p = multiply_add<double>(p, w, broadcast(1.0 / k));
  return multiply_add<double>(exponent, broadcast(0.6931471805599453), 2.0 * z * p);
}

inline vec<float> log(vec<float> x) {
  constexpr std::int32_t root = 0x3F3504F3;
  constexpr float shift = 0x1.8p23f;
  const vec<std::int32_t> bits = (vec<std::int32_t>)x - root;
  const vec<float> s = (vec<float>)((bits & 0x7FFFFF) + root);
  const vec<float> exponent = (vec<float>)((bits >> 23) + 0x4B400000) - shift;
  const vec<float> z = (s - 1.0f) / (s + 1.0f), w = z * z;
  vec<float> p = broadcast(1.0f / 9);
#pragma GCC unroll 4
  for (int k = 7; k >= 1; k -= 2) p = multiply_add<float>(p, w, broadcast(1.0f / static_cast<float>(k)));
  return multiply_add<float>(exponent, broadcast(0.693147181f), 2.0f * z * p);
}

/// Products of the low halves of the lanes.
inline vec<std::uint64_t> multiply_low(vec<std::uint64_t> a, vec<std::uint64_t> b) {
#if defined(__AVX512F__)
  return (vec<std::uint64_t>)_mm512_maskz_mul_epu32(0xFF, (__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (vec<std::uint64_t>)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
  return (vec<std::uint64_t>)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
  return (a & 0xFFFFFFFF) * (b & 0xFFFFFFFF);
#endif
}

/// lanes<std::uint64_t> 32-bit numbers, one a lane; and back, their low halves.
inline vec<std::uint64_t> load_u32(const std::uint32_t* p) {
  typedef std::uint32_t narrow __attribute__((vector_size(4 * lanes<std::uint64_t>)));
  narrow v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, vec<std::uint64_t>);
}
inline void store_low(std::uint32_t* p, vec<std::uint64_t> v) {
  typedef std::uint32_t narrow __attribute__((vector_size(4 * lanes<std::uint64_t>)));
  const narrow low = __builtin_convertvector(v, narrow);
  std::memcpy(p, &low, sizeof low);
}

/// The signed integers of a lane's size, and the lanes' numbers.
template <class T>
struct signed_of;
template <>
struct signed_of<float> {
  using type = std::int32_t;
};
template <>
struct signed_of<double> {
  using type = std::int64_t;
};
template <class T>
inline vec<typename signed_of<T>::type> lane_numbers() {
  vec<typename signed_of<T>::type> v{};
  for (std::size_t i = 0; i < lanes<T>; ++i) v[i] = static_cast<typename signed_of<T>::type>(i);
  return v;
}

/// Flips the sign of the lanes whose bit is set.
template <class T>
inline vec<T> flip_signs(vec<T> v, std::uint32_t bits) {
#if defined(__AVX512DQ__)
  if constexpr (sizeof(T) == 4) {
    return (vec<T>)_mm512_mask_xor_ps((__m512)v, static_cast<__mmask16>(bits), (__m512)v, _mm512_set1_ps(-0.0f));
  } else {
    return (vec<T>)_mm512_mask_xor_pd((__m512d)v, static_cast<__mmask8>(bits), (__m512d)v, _mm512_set1_pd(-0.0));
  }
#else
  using S = typename signed_of<T>::type;
  const vec<S> all = broadcast(static_cast<S>(bits));
  constexpr int top = 8 * sizeof(T) - 1;
#if defined(__AVX2__)
  const vec<S> top_bit = (all << (top - lane_numbers<T>())) & (S{1} << top);
#else  // no shifts by a different count in each lane
  const vec<S> bit = S{1} << lane_numbers<T>(), top_bit = ((all & bit) == bit) & (S{1} << top);
#endif
  return (vec<T>)((vec<S>)v ^ top_bit);
#endif
}

/// The same with the bits of `part` of 16 lanes, straight from memory, where four bytes can be read.
template <class T>
inline vec<T> flip_signs_at(vec<T> v, const std::uint16_t* bits, std::size_t part) {
#if defined(__AVX512DQ__)
  if constexpr (sizeof(T) == 4) {
    __mmask16 mask;
    __asm__("kmovw %1, %0" : "=k"(mask) : "m"(*bits));  // the compiler would go through an integer register
    return (vec<T>)_mm512_mask_xor_ps((__m512)v, mask, (__m512)v, _mm512_set1_ps(-0.0f));
  } else {
    __mmask8 mask;
    __asm__("kmovb %1, %0" : "=k"(mask) : "m"(reinterpret_cast<const unsigned char*>(bits)[part]));
    return (vec<T>)_mm512_mask_xor_pd((__m512d)v, mask, (__m512d)v, _mm512_set1_pd(-0.0));
  }
#else
#if defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    const vec<std::int32_t> all = (vec<std::int32_t>)_mm256_broadcast_ss(reinterpret_cast<const float*>(bits));
    const vec<std::int32_t> shifts = 31 - static_cast<std::int32_t>(part * lanes<T>) - lane_numbers<T>();
    return (vec<T>)((vec<std::int32_t>)v ^ ((all << shifts) & (std::int32_t{1} << 31)));
  }
#endif
  return flip_signs<T>(v, static_cast<std::uint32_t>(*bits) >> (part * lanes<T>));
#endif
}

/// One step of a Hadamard transform within a register: of each pair of lanes i and i + H, sum and difference.
template <std::size_t H, class T, std::size_t... I>
inline vec<T> butterfly_lanes(vec<T> v, std::index_sequence<I...>) {
  const vec<T> swapped = __builtin_shufflevector(v, v, static_cast<int>(I ^ H)...);
  constexpr T kUp = 1, kDown = -1;
  const vec<T> factor = {((I & H) != 0 ? kDown : kUp)...};
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return (vec<T>)_mm512_fmadd_ps((__m512)v, (__m512)factor, (__m512)swapped);  // a factor of +-1: as exact as a sum
  } else {
    return (vec<T>)_mm512_fmadd_pd((__m512d)v, (__m512d)factor, (__m512d)swapped);
  }
#elif defined(__FMA__)
  if constexpr (sizeof(T) == 4) {
    return (vec<T>)_mm256_fmadd_ps((__m256)v, (__m256)factor, (__m256)swapped);
  } else {
    return (vec<T>)_mm256_fmadd_pd((__m256d)v, (__m256d)factor, (__m256d)swapped);
  }
#else
  using S = typename signed_of<T>::type;
  const vec<S> signs = (vec<S>)factor & (S{1} << (8 * sizeof(T) - 1));
  return swapped + (vec<T>)((vec<S>)v ^ signs);
#endif
}
template <std::size_t H, class T>
inline vec<T> butterfly_lanes(vec<T> v) {
  return butterfly_lanes<H, T>(v, std::make_index_sequence<lanes<T>>());
}

/// lanes<T> unsigned 16-bit numbers as T.
template <class T>
inline vec<T> load_u16(const std::uint16_t* p) {
  typedef std::uint16_t narrow __attribute__((vector_size(2 * lanes<T>)));
  narrow v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, vec<T>);
}

/// sums[i] += v[i], for lanes<std::uint8_t> sums.
inline void add_to_u16(std::uint16_t* sums, vec<std::uint8_t> v) {
  typedef std::uint8_t half __attribute__((vector_size(kBytes / 2)));
  half parts[2];
  std::memcpy(&parts, &v, sizeof parts);
  for (std::size_t i = 0; i < 2; ++i) {
    std::uint16_t* at = sums + i * lanes<std::uint16_t>;
    store(at, load(at) + __builtin_convertvector(parts[i], vec<std::uint16_t>));
  }
}

/// The larger of each pair of lanes.
inline vec<std::uint32_t> maximum(vec<std::uint32_t> a, vec<std::uint32_t> b) {
  return a > b ? a : b;
}
inline vec<std::uint8_t> maximum(vec<std::uint8_t> a, vec<std::uint8_t> b) {
  return a > b ? a : b;
}

/// The smallest lane.
template <class T, std::size_t H, std::size_t... I>
inline vec<T> minimum_of_lanes(vec<T> v, std::index_sequence<I...>) {
  return minimum(v, __builtin_shufflevector(v, v, static_cast<int>(I ^ H)...));
}
template <class T, std::size_t H = lanes<T> / 2>
inline T smallest(vec<T> v) {
  if constexpr (H == 0) {
    return v[0];
  } else {
    return smallest<T, H / 2>(minimum_of_lanes<T, H>(v, std::make_index_sequence<lanes<T>>()));
  }
}

template <class T>
inline vec<T> square_root(vec<T> v) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return (vec<T>)_mm512_maskz_sqrt_ps(0xFFFF, (__m512)v);
  } else {
    return (vec<T>)_mm512_maskz_sqrt_pd(0xFF, (__m512d)v);
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    return (vec<T>)_mm256_sqrt_ps((__m256)v);
  } else {
    return (vec<T>)_mm256_sqrt_pd((__m256d)v);
  }
#elif defined(__SSE2__)
  if constexpr (sizeof(T) == 4) {
    return (vec<T>)_mm_sqrt_ps((__m128)v);
  } else {
    return (vec<T>)_mm_sqrt_pd((__m128d)v);
  }
#else
  for (std::size_t i = 0; i < lanes<T>; ++i) v[i] = static_cast<T>(__builtin_sqrt(v[i]));
  return v;
#endif
}

/// The lanes behind each one: those of a from the second on, then the first of b.
inline vec<std::uint32_t> following(vec<std::uint32_t> a, vec<std::uint32_t> b) {
#if defined(__AVX512F__)
  return (vec<std::uint32_t>)_mm512_maskz_alignr_epi32(0xFFFF, (__m512i)b, (__m512i)a, 1);
#elif defined(__AVX2__)
  const __m256i middle = _mm256_permute2x128_si256((__m256i)a, (__m256i)b, 0x21);
  return (vec<std::uint32_t>)_mm256_alignr_epi8(middle, (__m256i)a, 4);
#elif defined(__SSSE3__)
  return (vec<std::uint32_t>)_mm_alignr_epi8((__m128i)b, (__m128i)a, 4);
#else
  vec<std::uint32_t> v;
  for (std::size_t i = 0; i + 1 < lanes<std::uint32_t>; ++i) v[i] = a[i + 1];
  v[lanes<std::uint32_t> - 1] = b[0];
  return v;
#endif
}

/// lanes<float> numbers of IEEE half precision as float, exactly; and back, rounded to the nearest, ties to even.
inline vec<float> load_halves(const std::uint16_t* p) {
#if defined(__AVX512F__)
  return (vec<float>)_mm512_maskz_cvtph_ps(0xFFFF, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif defined(__F16C__)
  return (vec<float>)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#else
  typedef std::uint16_t narrow __attribute__((vector_size(kBytes / 2)));
  narrow h;
  std::memcpy(&h, p, sizeof h);
  const vec<std::uint32_t> bits = __builtin_convertvector(h, vec<std::uint32_t>), size = (bits & 0x7FFF) << 13;
  const vec<std::uint32_t> scaled = (vec<std::uint32_t>)((vec<float>)size * 0x1p112f);  // also denormal numbers
  return (vec<float>)((size >= 0x0F800000 ? (size | 0x7F800000) : scaled) | (bits & 0x8000) << 16);
#endif
}
inline void store_halves(std::uint16_t* p, vec<float> v) {
#if defined(__AVX512F__)
  const __m256i h = _mm512_maskz_cvtps_ph(0xFFFF, (__m512)v, _MM_FROUND_TO_NEAREST_INT);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), h);
#elif defined(__F16C__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT));
#else
  const vec<std::uint32_t> bits = (vec<std::uint32_t>)v, size = bits & 0x7FFFFFFF;
  // Below 2^-14 the addition of 0.5 rounds to a multiple of 2^-24; above, half a unit and the last bit kept are added.
  const vec<std::uint32_t> small = (vec<std::uint32_t>)((vec<float>)size + 0.5f) - 0x3F000000;
  const vec<std::uint32_t> normal = (size - 0x38000000 + 0xFFF + ((size >> 13) & 1)) >> 13;
  const vec<std::uint32_t> special = size > 0x7F800000 ? ((size >> 13) & 0x3FF) | 0x7E00 : size - size + 0x7C00;
  const vec<std::uint32_t> h = size >= 0x47800000 ? special : (size < 0x38800000 ? small : normal);
  typedef std::uint16_t narrow __attribute__((vector_size(kBytes / 2)));
  const narrow out = __builtin_convertvector(h | (bits >> 16 & 0x8000), narrow);
  std::memcpy(p, &out, sizeof out);
#endif
}

/// The same for bfloat16, the upper half of a float.
inline vec<float> load_bfloats(const std::uint16_t* p) {
  typedef std::uint16_t narrow __attribute__((vector_size(kBytes / 2)));
  narrow h;
  std::memcpy(&h, p, sizeof h);
  return (vec<float>)(__builtin_convertvector(h, vec<std::uint32_t>) << 16);
}
inline void store_bfloats(std::uint16_t* p, vec<float> v) {
  const vec<std::uint32_t> bits = (vec<std::uint32_t>)v, nan = (bits >> 16) | 0x40;
  const vec<std::uint32_t> rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
  typedef std::uint16_t narrow __attribute__((vector_size(kBytes / 2)));
  const narrow out = __builtin_convertvector((bits & 0x7FFFFFFF) > 0x7F800000 ? nan : rounded, narrow);
  std::memcpy(p, &out, sizeof out);
}

/// Writes the lanes whose bit is set, packed, to `values`, and their numbers first + lane to `numbers`. Both need room
/// for a whole register (compressing stores are slow on Zen 4: compress in the register, then store).
inline void compress(vec<float> v, std::uint32_t first, std::uint32_t bits, float* values, std::uint32_t* numbers) {
#if defined(__AVX512F__)
  const __m512i iota = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __mmask16 mask = static_cast<__mmask16>(bits);
  _mm512_storeu_ps(values, _mm512_maskz_compress_ps(mask, (__m512)v));
  _mm512_storeu_si512(numbers, _mm512_maskz_compress_epi32(
                                   mask, _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(first)), iota)));
#else
  for (; bits != 0; bits &= bits - 1) {
    const int lane = __builtin_ctz(bits);
    *values++ = v[lane];
    *numbers++ = first + static_cast<std::uint32_t>(lane);
  }
#endif
}
inline void compress(vec<double> v, std::uint32_t first, std::uint32_t bits, double* values, std::uint32_t* numbers) {
  for (; bits != 0; bits &= bits - 1) {
    const int lane = __builtin_ctz(bits);
    *values++ = v[lane];
    *numbers++ = first + static_cast<std::uint32_t>(lane);
  }
}

}  // namespace likewise::kernels::LIKEWISE_LEVEL
