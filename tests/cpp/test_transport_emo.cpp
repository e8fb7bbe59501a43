// The EMO loss: every kernel at every CPU level against the plain loop, and what the core promises itself.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/dispatch.hpp"
#include "kernels/table.hpp"
#include "likewise/transport/emo.hpp"

namespace {

using likewise::value_error;
using likewise::kernels::EmoKernels;
using likewise::kernels::EmoSums;
using likewise::kernels::EmoTable;
using likewise::kernels::EmoWeights;
using namespace likewise::transport;

std::mt19937_64 random_bits(20261125);

std::vector<const EmoTable*> levels() {
  std::vector<const EmoTable*> found;
  const std::vector<std::string> available = likewise::level_report().available;
#define LIKEWISE_ADD(level)                                                    \
  if (std::find(available.begin(), available.end(), #level) != available.end()) \
    found.push_back(&likewise::kernels::level::emo_kernels);
  LIKEWISE_LEVELS(LIKEWISE_ADD)
#undef LIKEWISE_ADD
  return found;
}

template <class T>
const EmoKernels<T>& of(const EmoTable& table) {
  if constexpr (sizeof(T) == 4) {
    return table.f32;
  } else {
    return table.f64;
  }
}

template <class T>
constexpr double kTolerance = sizeof(T) == 4 ? 1e-5 : 1e-13;

bool close(double a, double b, double tolerance) { return std::abs(a - b) <= tolerance * std::max(1.0, std::abs(b)); }

template <class T>
std::vector<T> values(std::size_t n, double low, double high) {
  std::vector<T> v(n);
  std::uniform_real_distribution<double> uniform(low, high);
  for (T& x : v) x = static_cast<T>(uniform(random_bits));
  return v;
}

/// One token as the formulas read, in double.
struct Plain {
  double top = 0, total = 0, cost = 0, logit = 0;
};
template <class T>
double cost_of(T cosine, T inverse_norm) {
  return std::min(2.0, std::max(0.0, 1.0 - static_cast<double>(cosine) * static_cast<double>(inverse_norm)));
}
template <class T>
Plain plain(const std::vector<T>& z, const std::vector<T>& c, const std::vector<T>& s, const std::vector<T>& p) {
  Plain r;
  r.top = static_cast<double>(*std::max_element(z.begin(), z.end()));
  for (std::size_t j = 0; j < z.size(); ++j) {
    const double e = std::exp(static_cast<double>(z[j]) - r.top);
    r.total += e;
    r.cost += e * cost_of(c[j], s[j]);
    if (p[j] > 0) r.logit += static_cast<double>(p[j]) * (static_cast<double>(z[j]) - r.top);
  }
  return r;
}

template <class T>
void kernels_equal_plain_loops() {
  for (const EmoTable* table : levels()) {
    const EmoKernels<T>& k = of<T>(*table);
    for (std::size_t n : {1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 129, 1023, 1024, 1025, 2100}) {
      std::vector<T> z = values<T>(n, -6, 6), c = values<T>(n, -3, 3), s = values<T>(n, 0.1, 1), p = values<T>(n, 0, 1);
      if (n > 2) {
        z[n / 2] = -std::numeric_limits<T>::infinity();
        p[n / 2] = 0;
      }
      const Plain want = plain(z, c, s, p);
      T top = 0;
      CHECK(k.largest(z.data(), n, &top));
      CHECK(static_cast<double>(top) == want.top);
      for (const bool soft : {false, true}) {
        EmoSums got{};
        (soft ? k.soft_sums : k.sums)(z.data(), c.data(), s.data(), p.data(), n, top, &got);
        CHECK(close(got.total, want.total, kTolerance<T>));
        CHECK(close(got.cost, want.cost, kTolerance<T>));
        CHECK(close(got.logit, soft ? want.logit : 0, kTolerance<T>));
        const EmoWeights<T> w{static_cast<T>(0.3), static_cast<T>(-0.7), static_cast<T>(0.2)};
        // In place of the logits, of the cosines, or elsewhere: the same bits. One element behind stays untouched.
        std::vector<T> results[3];
        for (int where = 0; where < 3; ++where) {
          std::vector<T> a = z, b = c, other(n);
          a.push_back(T(7));
          b.push_back(T(7));
          other.push_back(T(7));
          std::vector<T>& out = where == 0 ? other : where == 1 ? a : b;
          (soft ? k.soft_gradient : k.gradient)(a.data(), b.data(), s.data(), p.data(), n, top, w, out.data());
          CHECK(out[n] == T(7));
          results[where] = out;
        }
        CHECK(results[1] == results[0] && results[2] == results[0]);
        for (std::size_t j = 0; j < n; ++j) {
          const double e = std::exp(static_cast<double>(z[j]) - want.top);
          const double g = e * (0.3 - 0.7 * cost_of(c[j], s[j])) - (soft ? 0.2 * static_cast<double>(p[j]) : 0);
          CHECK(close(static_cast<double>(results[0][j]), g, kTolerance<T>));
        }
      }
      double squares = 0;
      for (const T x : c) squares += static_cast<double>(x) * static_cast<double>(x);
      CHECK(close(k.sum_of_squares(c.data(), n), squares, 1e-14));
      for (const T bad : {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity()})
        for (const std::size_t at : {std::size_t{0}, n / 2, n - 1}) {
          std::vector<T> other = z;
          other[at] = bad;
          CHECK(!k.largest(other.data(), n, &top));
        }
    }
  }
}

/// Tokens that share rows of cosines, in the numbering of first occurrence, some ignored, one in the cache.
template <class T>
struct Batch {
  std::size_t n = 23, width = 5003;
  std::vector<T> z = values<T>(n * width, -4, 4), s = values<T>(width, 0.1, 1), cached = values<T>(width, -3, 3);
  std::vector<T> cosines = values<T>(n * width, -3, 3);
  std::vector<std::int64_t> rows, targets;

  Batch() {
    std::int64_t fresh = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const std::int64_t kind = static_cast<std::int64_t>(random_bits() % 6);
      if (kind == 0) rows.push_back(-1);
      else if (kind == 1) rows.push_back(static_cast<std::int64_t>(n));
      else if (kind < 4 || fresh == 0) rows.push_back(fresh++);
      else rows.push_back(static_cast<std::int64_t>(random_bits() % static_cast<std::uint64_t>(fresh)));
      targets.push_back(static_cast<std::int64_t>(random_bits() % width));
    }
  }
  EmoTokens<T> tokens(const std::vector<T>& at) const {
    EmoTokens<T> t;
    t.n = n;
    t.n_vocabulary = width;
    t.n_cosines = n;
    t.n_cached = 1;
    t.logits = z.data();
    t.rows = rows.data();
    t.targets = targets.data();
    t.cosines = at.data();
    t.cached = cached.data();
    t.inverse_norms = s.data();
    return t;
  }
};

template <class T>
void in_place_with_any_number_of_threads() {
  const Batch<T> c;
  std::vector<T> expected(c.n * c.width);
  std::vector<double> numbers(3 * c.n);
  const EmoResults results{numbers.data(), numbers.data() + c.n, numbers.data() + 2 * c.n};
  CHECK(emo(c.tokens(c.cosines), EmoMixing{}, expected.data(), results, 1) == -1);
  const std::vector<double> expected_numbers = numbers;
  for (const unsigned n_threads : {1U, 2U, 3U, 8U}) {
    std::vector<T> place = c.cosines;
    numbers.assign(numbers.size(), -1);
    CHECK(emo(c.tokens(place), EmoMixing{}, place.data(), results, n_threads) == -1);
    CHECK(std::memcmp(place.data(), expected.data(), place.size() * sizeof(T)) == 0);
    CHECK(numbers == expected_numbers);
  }
  for (std::size_t i = 0; i < c.n; ++i) {
    double sum = 0;
    bool any = false;
    for (std::size_t j = 0; j < c.width; ++j) {
      sum += static_cast<double>(expected[i * c.width + j]);
      any = any || expected[i * c.width + j] != 0;
    }
    CHECK(std::abs(sum) < 100 * kTolerance<T>);
    CHECK(any == (c.rows[i] >= 0));
  }
}

template <class T>
void wrong_tokens() {
  Batch<T> c;
  std::vector<T> place(c.n * c.width);
  std::vector<double> numbers(3 * c.n);
  const EmoResults results{numbers.data(), numbers.data() + c.n, numbers.data() + 2 * c.n};
  const auto run = [&] { return emo(c.tokens(c.cosines), EmoMixing{}, place.data(), results, 2); };
  c.rows.assign(c.n, 0);
  c.z[7 * c.width + 40] = std::numeric_limits<T>::quiet_NaN();
  c.z[9 * c.width + 3] = std::numeric_limits<T>::infinity();
  CHECK(run() == 7);
  c.rows[7] = -1;
  CHECK(run() == 9);
  c.rows[9] = -1;
  CHECK(run() == -1);
  c.z[2 * c.width + static_cast<std::size_t>(c.targets[2])] = -std::numeric_limits<T>::infinity();
  CHECK(run() == 2);
  for (const std::int64_t bad : {std::int64_t{-2}, static_cast<std::int64_t>(c.n + 1)}) {
    c.rows[4] = bad;
    CHECK_THROWS(value_error, run());
    c.rows[4] = 0;
  }
  for (const std::int64_t bad : {std::int64_t{-1}, static_cast<std::int64_t>(c.width)}) {
    c.targets[4] = bad;
    CHECK_THROWS(value_error, run());
    c.targets[4] = 0;
  }
}

CASE(kernels_equal_plain_loops) {
  kernels_equal_plain_loops<float>();
  kernels_equal_plain_loops<double>();
}
CASE(in_place_with_any_number_of_threads) {
  in_place_with_any_number_of_threads<float>();
  in_place_with_any_number_of_threads<double>();
}
CASE(wrong_tokens) {
  wrong_tokens<float>();
  wrong_tokens<double>();
}

}  // namespace
