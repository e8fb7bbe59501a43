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
  std::size_t i = 0;
  for (; i + 8 <= n && documents[i + 7] < end; i += 8) {
    for (std::size_t j = 0; j < 8; ++j) sums[documents[i + j] - begin] += weight * impacts[i + j];
  }
  for (; i < n && documents[i] < end; ++i) sums[documents[i] - begin] += weight * impacts[i];
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

std::size_t count_descents(const std::uint32_t* values, std::size_t n, std::uint32_t* largest) {
  using V = vec<std::uint32_t>;
  constexpr std::size_t w = lanes<std::uint32_t>;
  V descents[2] = {}, top[2] = {};
  std::size_t i = 0;
  for (; i + 2 * w + 1 <= n; i += 2 * w) {
    for (std::size_t j = 0; j < 2; ++j) {
      const V a = load(values + i + j * w), b = load(values + i + j * w + 1);
      descents[j] -= (V)(a >= b);  // a true lane is -1
      top[j] = maximum(top[j], a);
    }
  }
  std::size_t count = 0;
  for (std::size_t j = 0; j < 2; ++j)
    for (std::size_t k = 0; k < w; ++k) {
      count += descents[j][k];
      if (top[j][k] > *largest) *largest = top[j][k];
    }
  for (; i < n; ++i) {
    count += i + 1 < n && values[i] >= values[i + 1];
    if (values[i] > *largest) *largest = values[i];
  }
  return count;
}

void count_extremes(const std::uint8_t* values, std::size_t n, std::size_t* zeros, std::size_t* full) {
  using V = vec<std::uint8_t>;
  constexpr std::size_t w = lanes<std::uint8_t>;
  std::size_t i = 0;
  while (i + w <= n) {
    V zero{}, ones{};
    for (std::size_t steps = 0; steps < 255 && i + w <= n; ++steps, i += w) {
      const V v = load(values + i);
      zero -= (V)(v == V{});
      ones -= (V)(v == broadcast<std::uint8_t>(255));
    }
    for (std::size_t k = 0; k < w; ++k) {
      *zeros += zero[k];
      *full += ones[k];
    }
  }
  for (; i < n; ++i) {
    *zeros += values[i] == 0;
    *full += values[i] == 255;
  }
}

template <class T>
constexpr ScoreKernels<T> score_kernels{accumulate<T>, flush<T>, flush_at<T>, collect<T>, collect_at<T>};

}  // namespace

extern const SearchKernels search_kernels;
constexpr SearchKernels search_kernels{score_kernels<float>, score_kernels<double>, count_descents, count_extremes};

}  // namespace likewise::kernels::LIKEWISE_LEVEL
