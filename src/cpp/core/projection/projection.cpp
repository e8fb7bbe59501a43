#include "likewise/projection.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "core/dispatch.hpp"
#include "core/projection/construction.hpp"
#include "core/projection/kernels_of.hpp"
#include "core/thread_pool.hpp"

namespace likewise::projection {
namespace {

constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
constexpr std::size_t kValuesAPiece = std::size_t{1} << 18;  // of input and output: some 50 us of work or more
constexpr std::size_t kEntriesAtOnce = 1024;                 // checked copies of column numbers

void keep_least(std::atomic<std::int64_t>& least, std::int64_t value) {
  std::int64_t seen = least.load(std::memory_order_relaxed);
  while (value < seen && !least.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

std::string nearest_multiples_of_16(std::uint64_t n) {
  const std::uint64_t below = n / 16 * 16;
  return (below > 0 ? std::to_string(below) + " or " : std::string()) + std::to_string(below + 16);
}

void check_nnz(const Parameters& p) {
  const std::string got = ", got " + std::to_string(p.nnz);
  if (p.nnz < 1 || p.nnz > p.n_components)
    throw value_error("nnz: expected an integer from 1 to n_components (" + std::to_string(p.n_components) + ")" + got);
  if (p.nnz < 16) return;
  if (p.nnz % 16 != 0)
    throw value_error("nnz: expected at most 15 or a multiple of 16 [nearest: " + nearest_multiples_of_16(p.nnz) + "]" +
                      got);
  if (p.n_components % 16 != 0)
    throw value_error("n_components: expected a multiple of 16 with nnz=" + std::to_string(p.nnz) +
                      " [nearest: " + nearest_multiples_of_16(p.n_components) + "], got " +
                      std::to_string(p.n_components));
}

std::unique_ptr<const Construction> make(Parameters p) {
  if (p.n_features < 1 || p.n_features > 0xFFFFFFFF)
    throw value_error("n_features: expected an integer from 1 to 4294967295, got " + std::to_string(p.n_features));
  if (p.n_components < 1 || p.n_components > 0x7FFFFFFF)
    throw value_error("n_components: expected an integer from 1 to 2147483647, got " + std::to_string(p.n_components));
  switch (p.method) {
    case Method::hadamard:
      return make_hadamard(p);
    case Method::sjlt:
      check_nnz(p);
      return make_sparse(p);
    case Method::countsketch:
      p.nnz = 1;
      return make_sparse(p);
    case Method::very_sparse:
      if (!(p.density > 0 && p.density <= 1))
        throw value_error("density: expected a number above 0, at most 1, got " + std::to_string(p.density));
      return make_sparse(p);
    case Method::achlioptas:
      return make_sparse(p);
    case Method::gaussian:
      return make_gaussian(p);
    case Method::srht: {
      std::uint64_t padded = 1;
      while (padded < p.n_features) padded *= 2;
      if (p.n_components > padded)
        throw value_error("n_components: expected at most " + std::to_string(padded) + " with method='srht' and " +
                          std::to_string(p.n_features) + " features, got " + std::to_string(p.n_components));
      return make_srht(p);
    }
  }
  throw value_error("method: expected one of the known methods");
}

/// Copies offsets that have been checked: from 0, never descending, up to the number of entries.
template <class Offset>
std::vector<std::int64_t> checked_offsets(span<const Offset> indptr, std::size_t n_entries) {
  std::vector<std::int64_t> offsets(indptr.begin(), indptr.end());
  if (offsets.empty() || offsets.front() != 0)
    throw value_error("X: expected indptr to start at 0" +
                      (offsets.empty() ? std::string(", got none") : ", got " + std::to_string(offsets.front())));
  for (std::size_t i = 1; i < offsets.size(); ++i)
    if (offsets[i] < offsets[i - 1])
      throw value_error("X: expected indptr that does not decrease, got " + std::to_string(offsets[i]) + " after " +
                        std::to_string(offsets[i - 1]) + " at position " + std::to_string(i));
  if (offsets.back() != static_cast<std::int64_t>(n_entries))
    throw value_error("X: expected indptr to end at the number of stored values (" + std::to_string(n_entries) +
                      "), got " + std::to_string(offsets.back()));
  return offsets;
}

}  // namespace

Projection::Projection(const Parameters& parameters) : parameters_(parameters), construction_(make(parameters)) {}
Projection::~Projection() = default;
Projection::Projection(Projection&&) noexcept = default;

/// Calls consume(applier, first row, rows, their input) for pieces of the rows; it returns the first of them
/// whose result is not finite.
template <class T, class Consume>
std::int64_t Projection::each_piece(const T* x, std::size_t n, unsigned n_threads, const Consume& consume) const {
  const std::size_t d = parameters_.n_features, k = parameters_.n_components;
  const std::size_t rows = std::max<std::size_t>(1, kValuesAPiece / (d + k)), n_pieces = (n + rows - 1) / rows;
  const kernels::ProjectionKernels<T>& kernel = kernels_of<T>();
  std::atomic<std::int64_t> bad{kNone};
  // Some neighbouring pieces together, so that few appliers are made.
  const std::size_t groups = std::min<std::size_t>(n_pieces, std::size_t{8} * std::max(1u, n_threads));
  parallel_for(groups, n_threads, [&](std::size_t group) {
    const std::unique_ptr<Applier<T>> applier = construction_->applier(T{}, n);
    const std::size_t step = std::max<std::size_t>(1, applier->rows_at_once());
    const std::size_t end = std::min(n, n_pieces * (group + 1) / groups * rows);
    for (std::size_t i = n_pieces * group / groups * rows; i < end; i += step) {
      poll_interrupt();
      const std::size_t count = std::min(step, end - i);
      const T* input = x + i * d;
      if (const std::size_t first = consume(*applier, i, count, input); first < count)
        keep_least(bad, static_cast<std::int64_t>(i + first));
      if (construction_->has_empty_columns())
        for (std::size_t r = 0; r < count; ++r)
          if (!kernel.all_finite(input + r * d, d)) keep_least(bad, static_cast<std::int64_t>(i + r));
    }
  });
  return bad.load() == kNone ? -1 : bad.load();
}

template <class T>
std::int64_t Projection::transform(const T* x, std::size_t n, T* out, unsigned n_threads) const {
  const std::size_t k = parameters_.n_components;
  return each_piece(x, n, n_threads, [&](Applier<T>& applier, std::size_t i, std::size_t count, const T* input) {
    return applier.apply(input, count, out + i * k);
  });
}

template <class T>
std::int64_t Projection::sign_codes(const T* x, std::size_t n, std::uint8_t* codes, unsigned n_threads) const {
  const std::size_t k = parameters_.n_components, n_bytes = (k + 7) / 8;
  return each_piece(x, n, n_threads, [&](Applier<T>& applier, std::size_t i, std::size_t count, const T* input) {
    std::vector<T> image(count * k);
    const std::size_t bad = applier.apply(input, count, image.data());
    for (std::size_t r = 0; r < count; ++r) {
      const T* y = image.data() + r * k;
      std::uint8_t* code = codes + (i + r) * n_bytes;
      for (std::size_t byte = 0; byte < n_bytes; ++byte) {
        unsigned bits = 0;
        for (std::size_t j = 8 * byte; j < std::min(k, 8 * byte + 8); ++j) bits |= unsigned{y[j] >= 0} << (j % 8);
        code[byte] = static_cast<std::uint8_t>(bits);
      }
    }
    return bad;
  });
}

template <class T, class Index, class Offset>
std::int64_t Projection::transform(const CsrRows<T, Index, Offset>& x, T* out, unsigned n_threads) const {
  if (x.data.size != x.indices.size)
    throw value_error("X: expected as many stored values as column indices (" + std::to_string(x.indices.size) +
                      "), got " + std::to_string(x.data.size));
  const std::vector<std::int64_t> offsets = checked_offsets(x.indptr, x.indices.size);
  const std::size_t n = offsets.size() - 1, k = parameters_.n_components;
  const std::uint64_t d = parameters_.n_features;
  const kernels::ProjectionKernels<T>& kernel = kernels_of<T>();
  // Pieces of about equal work: an entry costs about what eight outputs do.
  const std::size_t work = n * k / 8 + x.data.size;
  const std::size_t n_pieces = std::max<std::size_t>(1, std::min(n, work / (kValuesAPiece / 16)));
  const std::size_t groups = std::min<std::size_t>(n_pieces, std::size_t{8} * std::max(1u, n_threads));
  std::atomic<std::int64_t> bad{kNone};
  parallel_for(groups, n_threads, [&](std::size_t group) {
    const std::unique_ptr<Applier<T>> applier = construction_->applier(T{}, 1);
    std::uint32_t columns[kEntriesAtOnce];
    const std::size_t end = n * (group + 1) / groups;
    for (std::size_t i = n * group / groups; i < end; ++i) {
      if (i % 64 == 0) poll_interrupt();
      const auto begin = static_cast<std::size_t>(offsets[i]), stop = static_cast<std::size_t>(offsets[i + 1]);
      for (std::size_t first = begin; first < stop; first += kEntriesAtOnce) {
        const std::size_t count = std::min(kEntriesAtOnce, stop - first);
        for (std::size_t e = 0; e < count; ++e) {
          const auto column = static_cast<std::uint64_t>(static_cast<std::int64_t>(x.indices[first + e]));
#if defined(LIKEWISE_PLANTED_DEFECT)  // fuzzing must find it
          const bool outside = column > d;
#else
          const bool outside = column >= d;
#endif
          if (outside)
            throw value_error("X: expected column indices from 0 to " + std::to_string(d - 1) + ", got " +
                              std::to_string(static_cast<std::int64_t>(column)) + " at stored position " +
                              std::to_string(first + e) + " (row " + std::to_string(i) + ")");
          columns[e] = static_cast<std::uint32_t>(column);
        }
        applier->add(columns, x.data.data + first, count);
      }
      T* y = out + i * k;
      if (!applier->finish(y) ||
          (construction_->has_empty_columns() && !kernel.all_finite(x.data.data + begin, stop - begin)))
        keep_least(bad, static_cast<std::int64_t>(i));
    }
  });
  return bad.load() == kNone ? -1 : bad.load();
}

template <class T>
void Projection::columns(std::size_t first, std::size_t n, T* out) const {
  const std::size_t d = parameters_.n_features;
  if (first > d || n > d - first)
    throw value_error("first: expected columns below " + std::to_string(d) + ", got " + std::to_string(first) + " to " +
                      std::to_string(first + n));
  const std::unique_ptr<Applier<T>> applier = construction_->applier(T{}, 1);
  for (std::size_t i = 0; i < n; ++i) {
    poll_interrupt();
    applier->column(static_cast<std::uint32_t>(first + i), out + i * parameters_.n_components);
  }
}

#define LIKEWISE_INSTANTIATE_CSR(T, Index, Offset) \
  template std::int64_t Projection::transform(const CsrRows<T, Index, Offset>&, T*, unsigned) const;
#define LIKEWISE_INSTANTIATE(T)                                                                          \
  template std::int64_t Projection::transform(const T*, std::size_t, T*, unsigned) const;                \
  template std::int64_t Projection::sign_codes(const T*, std::size_t, std::uint8_t*, unsigned) const;    \
  template void Projection::columns(std::size_t, std::size_t, T*) const;                                 \
  LIKEWISE_INSTANTIATE_CSR(T, std::int32_t, std::int32_t)                                                \
  LIKEWISE_INSTANTIATE_CSR(T, std::int32_t, std::int64_t)                                                \
  LIKEWISE_INSTANTIATE_CSR(T, std::int64_t, std::int32_t)                                                \
  LIKEWISE_INSTANTIATE_CSR(T, std::int64_t, std::int64_t)
LIKEWISE_INSTANTIATE(float)
LIKEWISE_INSTANTIATE(double)

std::vector<std::uint32_t> permutation(const Philox& words, std::uint32_t tag, std::uint64_t i, std::uint64_t n) {
  std::vector<std::uint32_t> order(n);
  for (std::size_t a = 0; a < n; ++a) order[a] = static_cast<std::uint32_t>(a);
  PhiloxBlock block{};
  for (std::uint64_t a = n; a-- > 1;) {
    if (a % 4 == 3 || a == n - 1) block = words.block(tag, i, static_cast<std::uint32_t>(a / 4));
    std::swap(order[a], order[(block[a % 4] * (a + 1)) >> 32]);
  }
  return order;
}

std::vector<std::uint32_t> sample(const Philox& words, std::uint32_t tag, std::uint64_t i, std::uint64_t n,
                                  std::size_t count) {
  std::vector<std::uint32_t> order = permutation(words, tag, i, n);
  order.resize(count);
  order.shrink_to_fit();
  std::sort(order.begin(), order.end());
  return order;
}

void hamming_distances(const std::uint8_t* a, std::size_t n_a, const std::uint8_t* b, std::size_t n_b,
                       std::size_t n_bytes, std::int32_t* distances, unsigned n_threads) {
  constexpr std::size_t kRows = 16;
  parallel_for((n_a + kRows - 1) / kRows, n_a * n_b * n_bytes < (std::size_t{1} << 20) ? 1 : n_threads,
               [&](std::size_t piece) {
                 for (std::size_t i = piece * kRows; i < std::min(n_a, (piece + 1) * kRows); ++i) {
                   poll_interrupt();
                   kernel_table().projection.hamming(a + i * n_bytes, b, n_b, n_bytes, distances + i * n_b);
                 }
               });
}

}  // namespace likewise::projection
