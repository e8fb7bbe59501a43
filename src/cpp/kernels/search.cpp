// Inner loops of BM25: scatter-add of impacts, selection of the sums above a bound, checks of posting lists.
// A posting costs a load of the document, of the impact and of the sum, and one store; the store-to-load path is the
// limit (about 1.3 cycles in L1, 2 in L2), so nothing here gathers or scatters with vector instructions: measured
// slower. Selection reads each sum once: 16 a cycle at v4.
#include "kernels/simd.hpp"
#include "kernels/table.hpp"

namespace likewise::kernels::LIKEWISE_LEVEL {
namespace {

template <class T>
std::size_t accumulate(const std::uint32_t* documents, const T* impacts, std::size_t n, std::uint32_t begin,
                       std::uint32_t end, T weight, T* sums) {
  // The address of document 0's sum, were it there: saves a subtraction a posting.
  const std::uintptr_t origin = reinterpret_cast<std::uintptr_t>(sums) - std::uintptr_t{begin} * sizeof(T);
  const auto add = [=](std::size_t i) {
    *reinterpret_cast<T*>(origin + std::uintptr_t{documents[i]} * sizeof(T)) += weight * impacts[i];
  };
  constexpr std::size_t kAhead = 128;  // postings: the hardware's own look-ahead ends with each page
  std::size_t i = 0;
  for (; i + 8 <= n && documents[i + 7] < end; i += 8) {
    __builtin_prefetch(documents + i + kAhead);
    __builtin_prefetch(impacts + i + kAhead);
    for (std::size_t j = 0; j < 8; ++j) add(i + j);
  }
  for (; i < n && documents[i] < end; ++i) add(i);
  return i;
}

template <class T>
void flush(T* sums, T* totals, std::size_t n) {
  std::size_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) {
    store(totals + i, load(totals + i) + load(sums + i));
    store(sums + i, vec<T>{});
  }
  for (; i < n; ++i) {
    totals[i] += sums[i];
    sums[i] = 0;
  }
}

template <class T>
void flush_at(const std::uint32_t* documents, std::size_t n, std::uint32_t begin, T* sums, T* totals) {
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t d = documents[i] - begin;
    totals[d] += sums[d];
    sums[d] = 0;
  }
}

template <class T>
std::size_t collect(T* sums, T* totals, std::size_t n, std::uint32_t begin, T bound, std::uint32_t* documents,
                    T* found_sums, T* found_totals) {
  std::size_t count = 0, i = 0;
  const vec<T> limit = broadcast(bound), zero{};
  for (; i + 4 * lanes<T> <= n; i += 4 * lanes<T>) {
    vec<T> v[4], t[4];
    std::uint32_t bits[4];
    for (std::size_t j = 0; j < 4; ++j) {
      v[j] = load(sums + i + j * lanes<T>);
      store(sums + i + j * lanes<T>, zero);
    }
    if (totals != nullptr) {
      for (std::size_t j = 0; j < 4; ++j) {
        t[j] = load(totals + i + j * lanes<T>);
        store(totals + i + j * lanes<T>, zero);
        bits[j] = greater_bits(v[j] + t[j], limit);
      }
    } else {
      for (std::size_t j = 0; j < 4; ++j) bits[j] = greater_bits(v[j], limit);
    }
    if ((bits[0] | bits[1] | bits[2] | bits[3]) == 0) continue;
    for (std::size_t j = 0; j < 4; ++j) {
      const std::uint32_t first = begin + static_cast<std::uint32_t>(i + j * lanes<T>);
      if (totals != nullptr) compress(t[j], first, bits[j], found_totals + count, documents + count);
      compress(v[j], first, bits[j], found_sums + count, documents + count);
      count += static_cast<std::size_t>(__builtin_popcount(bits[j]));
    }
  }
  for (; i < n; ++i) {
    const T sum = sums[i], total = totals != nullptr ? totals[i] : T(0);
    documents[count] = begin + static_cast<std::uint32_t>(i);
    found_sums[count] = sum;
    if (totals != nullptr) found_totals[count] = total;
    count += sum + total > bound;
    sums[i] = 0;
    if (totals != nullptr) totals[i] = 0;
  }
  return count;
}

template <class T>
std::size_t collect_bounded(T* sums, T* totals, const std::uint16_t* bounds, T scale, std::size_t n,
                            std::uint32_t begin, T bound, std::uint32_t* documents, T* found_sums, T* found_totals,
                            T* found_bounds) {
  std::size_t count = 0;
  const vec<T> limit = broadcast(bound), factor = broadcast(scale), zero{};
  for (std::size_t i = 0; i < n; i += 4 * lanes<T>) {
    vec<T> v[4], t[4], b[4];
    std::uint32_t bits[4];
    for (std::size_t j = 0; j < 4; ++j) {
      v[j] = load(sums + i + j * lanes<T>);
      store(sums + i + j * lanes<T>, zero);
      b[j] = v[j] + factor * load_u16<T>(bounds + i + j * lanes<T>);
    }
    if (totals != nullptr) {
      for (std::size_t j = 0; j < 4; ++j) {
        t[j] = load(totals + i + j * lanes<T>);
        store(totals + i + j * lanes<T>, zero);
        b[j] += t[j];
      }
    }
    for (std::size_t j = 0; j < 4; ++j) bits[j] = greater_bits(b[j], limit);
    if ((bits[0] | bits[1] | bits[2] | bits[3]) == 0) continue;
    for (std::size_t j = 0; j < 4; ++j) {
      const std::uint32_t first = begin + static_cast<std::uint32_t>(i + j * lanes<T>);
      if (totals != nullptr) compress(t[j], first, bits[j], found_totals + count, documents + count);
      compress(v[j], first, bits[j], found_sums + count, documents + count);
      compress(b[j], first, bits[j], found_bounds + count, documents + count);
      count += static_cast<std::size_t>(__builtin_popcount(bits[j]));
    }
  }
  return count;
}

void sum_nibbles(const std::uint8_t* const* lists, std::size_t n_lists, std::size_t n_chunks, std::uint16_t* bounds) {
  using V = vec<std::uint8_t>;
  constexpr std::size_t w = lanes<std::uint8_t>, parts = 64 / w;
  constexpr std::size_t kGroup = 17;  // 17 * 15 still fits a byte
  const V low_half = broadcast<std::uint8_t>(15);
  std::memset(bounds, 0, n_chunks * 128 * sizeof *bounds);
  for (std::size_t group = 0; group < n_lists; group += kGroup) {
    const std::size_t end = group + kGroup < n_lists ? group + kGroup : n_lists;
    for (std::size_t chunk = 0; chunk < n_chunks; ++chunk) {
      V low[parts] = {}, high[parts] = {};
      for (std::size_t i = group; i < end; ++i)
        for (std::size_t j = 0; j < parts; ++j) {
          const V v = load(lists[i] + chunk * 64 + j * w);
          low[j] += v & low_half;
          high[j] += (v >> 4) & low_half;
        }
      for (std::size_t j = 0; j < parts; ++j) {
        add_to_u16(bounds + chunk * 128 + j * w, low[j]);
        add_to_u16(bounds + chunk * 128 + 64 + j * w, high[j]);
      }
    }
  }
}

template <class T>
std::size_t collect_at(const std::uint32_t* at, std::size_t n, std::uint32_t begin, T bound, T* sums, T* totals,
                       std::uint32_t* documents, T* found_sums, T* found_totals) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t d = at[i] - begin;
    const T sum = sums[d], total = totals != nullptr ? totals[d] : T(0);
    sums[d] = 0;
    documents[count] = at[i];
    found_sums[count] = sum;
    if (totals != nullptr) {
      totals[d] = 0;
      found_totals[count] = total;
    }
    count += sum + total > bound;
  }
  return count;
}

std::size_t count_descents(const std::uint32_t* values, std::size_t n) {
  using V = vec<std::uint32_t>;
  constexpr std::size_t w = lanes<std::uint32_t>;
  std::size_t i = 0, count = 0;
  if (n >= w) {
    // The neighbours are shifted in: loading them anew, across the borders of cache lines, is a fifth slower.
    V descents[2] = {}, a = load(values);
    for (; i + 3 * w <= n; i += 2 * w) {
      const V b = load(values + i + w), c = load(values + i + 2 * w);
      descents[0] -= (V)(a >= following(a, b));  // a true lane is -1
      descents[1] -= (V)(b >= following(b, c));
      a = c;
    }
    for (std::size_t k = 0; k < w; ++k) count += descents[0][k] + descents[1][k];
  }
  for (; i + 1 < n; ++i) count += values[i] >= values[i + 1];
  return count;
}

void count_extremes(const std::uint8_t* values, std::size_t n, std::size_t* zeros, std::size_t* full) {
  using V = vec<std::uint8_t>;
  constexpr std::size_t w = lanes<std::uint8_t>;
  constexpr std::size_t kSteps = 255;  // as far as a lane counts
  std::size_t i = 0;
  while (i + w <= n) {
    const std::size_t steps = (n - i) / w < kSteps ? (n - i) / w : kSteps;
    V top{};
    for (std::size_t s = 0; s < steps; ++s) top = maximum(top, load(values + i + s * w) - 1);
    bool any = false;  // 0 - 1 is 255, 255 - 1 is 254
    for (std::size_t k = 0; k < w; ++k) any |= top[k] >= 254;
    if (any) {
      V zero{}, ones{};
      for (std::size_t s = 0; s < steps; ++s) {
        const V v = load(values + i + s * w);
        zero -= (V)(v == V{});
        ones -= (V)(v == broadcast<std::uint8_t>(255));
      }
      for (std::size_t k = 0; k < w; ++k) {
        *zeros += zero[k];
        *full += ones[k];
      }
    }
    i += steps * w;
  }
  for (; i < n; ++i) {
    *zeros += values[i] == 0;
    *full += values[i] == 255;
  }
}

template <class T>
constexpr ScoreKernels<T> score_kernels{accumulate<T>,      flush<T>,     flush_at<T>, collect<T>,
                                        collect_bounded<T>, collect_at<T>};

}  // namespace

extern const SearchKernels search_kernels;
constexpr SearchKernels search_kernels{score_kernels<float>, score_kernels<double>, sum_nibbles, count_descents,
                                       count_extremes};

}  // namespace likewise::kernels::LIKEWISE_LEVEL
