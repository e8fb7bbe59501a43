// Projections: every kernel at every CPU level against the plain loop, equal bits; and what the core promises itself.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "core/dispatch.hpp"
#include "core/philox.hpp"
#include "kernels/table.hpp"
#include "likewise/projection.hpp"

namespace {

using likewise::value_error;
using likewise::kernels::FoldVector;
using likewise::kernels::ProjectionKernels;
using likewise::kernels::ProjectionTable;
using namespace likewise::projection;

std::mt19937_64 random_bits(20260101);

std::vector<const ProjectionTable*> levels() {
  std::vector<const ProjectionTable*> found;
  const std::vector<std::string> available = likewise::level_report().available;
#define LIKEWISE_ADD(level)                                                    \
  if (std::find(available.begin(), available.end(), #level) != available.end()) \
    found.push_back(&likewise::kernels::level::projection_kernels);
  LIKEWISE_LEVELS(LIKEWISE_ADD)
#undef LIKEWISE_ADD
  return found;
}

template <class T>
const ProjectionKernels<T>& of(const ProjectionTable& table) {
  if constexpr (sizeof(T) == 4) {
    return table.f32;
  } else {
    return table.f64;
  }
}

template <class T>
std::vector<T> some_values(std::size_t n) {
  std::vector<T> values(n);
  std::normal_distribution<double> normal;
  for (T& v : values) v = static_cast<T>(normal(random_bits));
  return values;
}

template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

template <class T>
T flipped(T v, unsigned bits, std::size_t lane) {
  return (bits >> lane & 1) != 0 ? -v : v;
}

template <class T>
void butterflies(std::vector<T>& t) {
  for (std::size_t h = 1; h < t.size(); h *= 2)
    for (std::size_t i = 0; i < t.size(); ++i)
      if ((i & h) == 0) {
        const T a = t[i], b = t[i + h];
        t[i] = a + b;
        t[i + h] = a - b;
      }
}

template <class T>
void check_fold(const ProjectionTable& table) {
  for (std::size_t kind = 0; kind < 5; ++kind) {
    const std::size_t n_vectors = std::size_t{1} << kind, block = 16 * n_vectors, m = n_vectors + 3;
    for (const std::size_t n_blocks : {0, 1, 2, 5}) {
      const std::vector<T> x = some_values<T>(n_blocks * block);
      std::vector<FoldVector> vectors(n_blocks * n_vectors);
      for (std::size_t g = 0; g < n_blocks; ++g) {
        std::vector<std::uint32_t> slots(m);
        for (std::size_t i = 0; i < m; ++i) slots[i] = static_cast<std::uint32_t>(i);
        std::shuffle(slots.begin(), slots.end(), random_bits);
        for (std::size_t v = 0; v < n_vectors; ++v)
          vectors[g * n_vectors + v] = {static_cast<std::uint16_t>(random_bits()),
                                        static_cast<std::uint16_t>(random_bits()), slots[v]};
      }
      std::vector<T> expected = some_values<T>(16 * m), sums = expected;
      for (std::size_t g = 0; g < n_blocks; ++g) {
        std::vector<T> t(block);
        const FoldVector* v = vectors.data() + g * n_vectors;
        for (std::size_t i = 0; i < block; ++i) t[i] = flipped(x[g * block + i], v[i / 16].before, i % 16);
        butterflies(t);
        for (std::size_t i = 0; i < block; ++i)
          expected[16 * v[i / 16].slot + i % 16] += flipped(t[i], v[i / 16].after, i % 16);
      }
      of<T>(table).fold[kind](x.data(), n_blocks, vectors.data(), sums.data());
      CHECK(same(sums, expected));
    }
  }
}

template <class T>
void check_add_slots(const ProjectionTable& table) {
  for (const std::size_t per_column : {1, 3}) {
    const std::size_t n = 29, width = 80;
    const std::vector<T> values = some_values<T>(n);
    std::vector<std::uint32_t> columns(n), codes(n * per_column);
    for (auto& column : columns) column = static_cast<std::uint32_t>(random_bits());
    for (auto& code : codes)
      code = static_cast<std::uint32_t>((random_bits() % 5) << 16 | (random_bits() & 0xFFFF));
    std::vector<T> expected = some_values<T>(2 * width), sums = expected;
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t e = i * per_column; e < (i + 1) * per_column; ++e)
        for (std::size_t lane = 0; lane < 16; ++lane)
          expected[columns[i] % 2 * width + (codes[e] >> 16) * 16 + lane] +=
              flipped(values[i], codes[e] & 0xFFFF, lane);
    of<T>(table).add_slots(codes.data(), per_column, columns.data(), values.data(), n, sums.data(), width);
    CHECK(same(sums, expected));
  }
}

template <class T>
void check_add_rows(const ProjectionTable& table) {
  for (const std::size_t per_column : {0, 1, 3}) {
    const std::size_t n = 29, width = 9;
    const std::vector<T> values = some_values<T>(n * 16);
    std::vector<std::uint32_t> starts{0}, codes;
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t count = per_column != 0 ? per_column : random_bits() % 4;
      for (std::size_t e = 0; e < count; ++e) codes.push_back(static_cast<std::uint32_t>(random_bits() % (2 * width)));
      starts.push_back(static_cast<std::uint32_t>(codes.size()));
    }
    std::vector<T> expected = some_values<T>(2 * width * 16), sums = expected;
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t e = starts[i]; e < starts[i + 1]; ++e)
        for (std::size_t row = 0; row < 16; ++row)
          expected[(i % 2 * width + codes[e] / 2) * 16 + row] += flipped(values[i * 16 + row], codes[e] & 1, 0);
    of<T>(table).add_rows(codes.data(), per_column != 0 ? nullptr : starts.data(), per_column, values.data(), n,
                          sums.data(), width);
    CHECK(same(sums, expected));
  }
}

template <class T>
void check_multiply_panel(const ProjectionTable& table) {
  for (const std::size_t n_rows : {1, 2, 5, 6, 12, 31})
    for (const std::size_t n_columns : {0, 1, 7, 40}) {
      const std::size_t x_stride = n_columns + 3, sums_stride = 48;
      const std::vector<T> x = some_values<T>(n_rows * x_stride), entries = some_values<T>(n_columns * 16);
      std::vector<T> expected = some_values<T>(n_rows * sums_stride), sums = expected;
      for (std::size_t r = 0; r < n_rows; ++r)
        for (std::size_t c = 0; c < n_columns; ++c)
          for (std::size_t j = 0; j < 16; ++j) {
            volatile T product = x[r * x_stride + c] * entries[c * 16 + j];  // never one rounding for both
            expected[r * sums_stride + j] += product;
          }
      of<T>(table).multiply_panel(entries.data(), n_columns, x.data(), x_stride, n_rows, sums.data(), sums_stride);
      CHECK(same(sums, expected));
    }
}

template <class T>
void check_small_ones(const ProjectionTable& table) {
  for (std::size_t n = 1; n <= 512; n *= 2) {
    std::vector<T> expected = some_values<T>(n), values = expected;
    butterflies(expected);
    of<T>(table).hadamard(values.data(), n);
    CHECK(same(values, expected));
  }
  for (std::size_t n = 0; n <= 130; ++n) {
    std::vector<T> values = some_values<T>(n), both = some_values<T>(2 * n), expected(n), expected_both(n), out(n);
    for (std::size_t i = 0; i < n; ++i) {
      expected[i] = values[i] * T(0.3);
      expected_both[i] = (both[i] + both[n + i]) * T(0.3);
    }
    CHECK(of<T>(table).take(values.data(), n, T(0.3), out.data()));
    CHECK(same(out, expected) && same(values, std::vector<T>(n)));
    CHECK(of<T>(table).take_both(both.data(), n, T(0.3), out.data()));
    CHECK(same(out, expected_both) && same(both, std::vector<T>(2 * n)));
    if (n > 0) values[n / 2] = std::numeric_limits<T>::max();
    if (n > 1) values[0] = values[1] = std::numeric_limits<T>::denorm_min();
    CHECK(of<T>(table).all_finite(values.data(), n));
    for (std::size_t i = 0; i < n; ++i)
      for (const T bad : {std::numeric_limits<T>::infinity(), -std::numeric_limits<T>::infinity(),
                          std::numeric_limits<T>::quiet_NaN()}) {
        std::vector<T> planted = values;
        planted[i] = bad;
        CHECK(!of<T>(table).all_finite(planted.data(), n));
        CHECK(!of<T>(table).take(planted.data(), n, T(0.3), out.data()));
        both[i] = both[n + i] = bad;
        CHECK(!of<T>(table).take_both(both.data(), n, T(0.3), out.data()));
      }
  }
}

CASE(fold) {
  for (const auto* table : levels()) check_fold<float>(*table), check_fold<double>(*table);
}
CASE(add_slots) {
  for (const auto* table : levels()) check_add_slots<float>(*table), check_add_slots<double>(*table);
}
CASE(add_rows) {
  for (const auto* table : levels()) check_add_rows<float>(*table), check_add_rows<double>(*table);
}
CASE(philox) {
  for (const auto* table : levels())
    for (std::size_t n = 0; n < 40; ++n) {
      std::vector<std::uint32_t> i(n), block(n), words(4 * n);
      for (std::size_t j = 0; j < n; ++j) {
        i[j] = static_cast<std::uint32_t>(random_bits());
        block[j] = static_cast<std::uint32_t>(random_bits());
      }
      const std::uint64_t seed = random_bits();
      table->philox(i.data(), block.data(), n, 5, seed, words.data());
      for (std::size_t j = 0; j < n; ++j)
        for (std::size_t w = 0; w < 4; ++w)
          CHECK(words[w * n + j] == likewise::Philox(seed).block(5, i[j], block[j])[w]);
    }
}
CASE(multiply_panel) {
  for (const auto* table : levels()) check_multiply_panel<float>(*table), check_multiply_panel<double>(*table);
}
CASE(small_ones) {
  for (const auto* table : levels()) check_small_ones<float>(*table), check_small_ones<double>(*table);
}

CASE(hamming) {
  for (const auto* table : levels())
    for (const std::size_t n_bytes : {1, 7, 8, 9, 32, 67}) {
      std::vector<std::uint8_t> codes(6 * n_bytes);
      for (auto& byte : codes) byte = static_cast<std::uint8_t>(random_bits());
      std::vector<std::int32_t> distances(5);
      table->hamming(codes.data(), codes.data() + n_bytes, 5, n_bytes, distances.data());
      for (std::size_t j = 0; j < 5; ++j) {
        int expected = 0;
        for (std::size_t i = 0; i < n_bytes; ++i)
          expected += __builtin_popcount(static_cast<unsigned>(codes[i] ^ codes[(j + 1) * n_bytes + i]));
        CHECK(distances[j] == expected);
      }
    }
}

Parameters parameters(Method method, std::uint64_t d, std::uint64_t k, std::uint64_t nnz = 0, double density = 0) {
  Parameters p;
  p.method = method;
  p.n_features = d;
  p.n_components = k;
  p.seed = 7;
  p.nnz = nnz;
  p.density = density;
  return p;
}

CASE(a_row_worked_out_by_hand) {
  const Projection p(parameters(Method::hadamard, 20, 16));
  std::vector<double> x(20), y(16);
  for (std::size_t i = 0; i < 20; ++i) x[i] = static_cast<double>(i + 1);
  CHECK(p.transform(x.data(), 1, y.data(), 1) == -1);
  const double expected[] = {26, 26, 52, -24, -14, -50, -32, 112, -38, -6, -12, -88, 42, 78, 28, -64};
  for (std::size_t j = 0; j < 16; ++j) CHECK(4 * y[j] == expected[j]);
}

const Parameters kEveryMethod[] = {
    parameters(Method::hadamard, 300, 100),    parameters(Method::sjlt, 300, 100, 7),
    parameters(Method::sjlt, 300, 96, 32),     parameters(Method::countsketch, 300, 100),
    parameters(Method::very_sparse, 300, 100, 0, 0.1), parameters(Method::achlioptas, 300, 100),
    parameters(Method::gaussian, 300, 100),    parameters(Method::srht, 300, 100)};

CASE(dense_and_sparse_rows_agree) {
  for (const Parameters& q : kEveryMethod) {
    const Projection p(q);
    const std::size_t n = 50, d = 300, k = q.n_components;
    std::vector<float> x = some_values<float>(n * d), dense(n * k), sparse(n * k), data;
    std::vector<std::int32_t> indptr{0}, indices;
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t c = 0; c < d; ++c) {
        if (random_bits() % 3 != 0 || i == 7) x[i * d + c] = 0;
        if (x[i * d + c] == 0) continue;
        data.push_back(x[i * d + c]);
        indices.push_back(static_cast<std::int32_t>(c));
      }
      indptr.push_back(static_cast<std::int32_t>(indices.size()));
    }
    CHECK(p.transform(x.data(), n, dense.data(), 2) == -1);
    const CsrRows<float, std::int32_t, std::int32_t> rows{indptr, indices, data};
    CHECK(p.transform(rows, sparse.data(), 2) == -1);
    CHECK(same(dense, sparse));
    indices[20] = 300;
    CHECK_THROWS(value_error, p.transform(rows, sparse.data(), 2));
    indices[20] = 0;
    indptr[1] = -1;
    CHECK_THROWS(value_error, p.transform(rows, sparse.data(), 1));
  }
}

// What this shows by itself is equal bits; what threads might do to one another, ThreadSanitizer shows.
CASE(threads_share_a_projection) {
  const std::size_t n = 2000, d = 300;
  const std::vector<float> x = some_values<float>(n * d);
  std::vector<std::int32_t> indptr(n + 1), indices(n * d);
  for (std::size_t i = 0; i <= n; ++i) indptr[i] = static_cast<std::int32_t>(i * d);
  for (std::size_t i = 0; i < n * d; ++i) indices[i] = static_cast<std::int32_t>(i % d);
  const CsrRows<float, std::int32_t, std::int32_t> rows{indptr, indices, x};
  for (const Parameters& q : kEveryMethod) {
    const std::size_t k = q.n_components, n_bytes = (k + 7) / 8, n_left = 500;
    std::vector<float> alone(n * k);
    std::vector<std::uint8_t> codes(n * n_bytes);
    std::vector<std::int32_t> distances(n_left * n);
    CHECK(Projection(q).transform(x.data(), n, alone.data(), 1) == -1);
    CHECK(Projection(q).sign_codes(x.data(), n, codes.data(), 1) == -1);
    hamming_distances(codes.data(), n_left, codes.data(), n, n_bytes, distances.data(), 1);
    const Projection shared(q);  // whatever it makes when it is first used, several make at once
    std::vector<std::thread> callers;
    std::atomic<int> wrong{0};
    for (int caller = 0; caller < 3; ++caller)
      callers.emplace_back([&, caller] {
        std::vector<float> images(n * k);
        std::vector<std::uint8_t> own(n * n_bytes);
        std::vector<std::int32_t> found(n_left * n);
        wrong += (caller == 0 ? shared.transform(rows, images.data(), 3)
                              : shared.transform(x.data(), n, images.data(), 3)) != -1;
        wrong += !same(images, alone);
        wrong += shared.sign_codes(x.data(), n, own.data(), 3) != -1 || own != codes;
        hamming_distances(own.data(), n_left, own.data(), n, n_bytes, found.data(), 3);
        wrong += found != distances;
      });
    for (std::thread& caller : callers) caller.join();
    CHECK(wrong == 0);
  }
}

CASE(parameters_are_checked) {
  CHECK_THROWS(value_error, Projection(parameters(Method::hadamard, 0, 4)));
  CHECK_THROWS(value_error, Projection(parameters(Method::sjlt, 9, 64, 17)));
  CHECK_THROWS(value_error, Projection(parameters(Method::srht, 9, 17)));
  CHECK_THROWS(value_error, Projection(parameters(Method::very_sparse, 9, 17, 0, std::nan(""))));
}

}  // namespace
