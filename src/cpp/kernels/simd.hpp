// The vector types and operations of the kernels: GCC/Clang vector extensions at the native width of the level that
// the file is compiled for. The only file that may hold an intrinsic. System headers are included before the
// level's namespace opens, so that no inline function of theirs is compiled twice under one name.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
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
