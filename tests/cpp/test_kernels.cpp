// Every kernel at every CPU level that this machine runs, against the plain loop: equal bits.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/dispatch.hpp"
#include "kernels/table.hpp"

namespace {

using likewise::kernels::ScoreKernels;
using likewise::kernels::SearchKernels;

struct Level {
  std::string name;
  const SearchKernels* search;
};
std::vector<Level> levels() {
  std::vector<Level> found;
  const std::vector<std::string> available = likewise::level_report().available;
#define LIKEWISE_ADD(level)                                                           \
  if (std::find(available.begin(), available.end(), #level) != available.end())        \
    found.push_back({#level, &likewise::kernels::level::search_kernels});
  LIKEWISE_LEVELS(LIKEWISE_ADD)
#undef LIKEWISE_ADD
  return found;
}

std::mt19937_64 random_bits(20260101);

template <class T>
const ScoreKernels<T>& of(const Level& level) {
  if constexpr (sizeof(T) == 4) {
    return level.search->f32;
  } else {
    return level.search->f64;
  }
}

template <class T>
std::vector<T> some_scores(std::size_t n, double zeros) {
  std::vector<T> values(n);
  for (T& v : values)
    v = std::uniform_real_distribution<>()(random_bits) < zeros
            ? T(0)
            : static_cast<T>(static_cast<double>(random_bits() % 64) / 4);  // many ties with the bound
  return values;
}
/// Ascending numbers from [begin, begin + n), about a fraction of them.
std::vector<std::uint32_t> some_documents(std::uint32_t begin, std::size_t n, double fraction) {
  std::vector<std::uint32_t> found;
  for (std::size_t i = 0; i < n; ++i)
    if (std::uniform_real_distribution<>()(random_bits) < fraction)
      found.push_back(begin + static_cast<std::uint32_t>(i));
  return found;
}
std::vector<std::size_t> sizes() {
  std::vector<std::size_t> all(132);
  std::iota(all.begin(), all.end(), 0);
  for (const std::size_t n : {255, 256, 257, 1000, 4096}) all.push_back(n);
  return all;
}

template <class T>
void test_accumulate(const Level& level) {
  for (const std::size_t width : sizes()) {
    const std::uint32_t begin = 1000;
    std::vector<std::uint32_t> documents = some_documents(begin, 2 * width, 0.5);
    const std::vector<T> impacts = some_scores<T>(documents.size(), 0.0);
    std::vector<T> sums = some_scores<T>(width, 0.5), expected = sums;
    const T weight = T(0.7);
    std::size_t n = 0;
    while (n < documents.size() && documents[n] < begin + width) {
      expected[documents[n] - begin] += weight * impacts[n];
      ++n;
    }
    const std::uint32_t end = begin + static_cast<std::uint32_t>(width);
    CHECK(of<T>(level).accumulate(documents.data(), impacts.data(), documents.size(), begin, end, weight,
                                  sums.data()) == n);
    CHECK(sums == expected);
  }
}

template <class T>
void test_flush(const Level& level) {
  for (const std::size_t n : sizes()) {
    const std::vector<T> sums = some_scores<T>(n, 0.3), totals = some_scores<T>(n, 0.3);
    std::vector<T> s = sums, t = totals;
    of<T>(level).flush(s.data(), t.data(), n);
    for (std::size_t i = 0; i < n; ++i) CHECK(s[i] == 0 && t[i] == totals[i] + sums[i]);

    const std::vector<std::uint32_t> at = some_documents(7, n, 0.4);
    s = sums;
    t = totals;
    of<T>(level).flush_at(at.data(), at.size(), 7, s.data(), t.data());
    for (std::size_t i = 0; i < n; ++i) {
      const bool named = std::binary_search(at.begin(), at.end(), 7 + static_cast<std::uint32_t>(i));
      CHECK(s[i] == (named ? T(0) : sums[i]) && t[i] == (named ? totals[i] + sums[i] : totals[i]));
    }
  }
}

template <class T>
void test_collect(const Level& level) {
  for (const std::size_t n : sizes()) {
    for (const double zeros : {0.0, 0.5, 0.97, 1.0}) {
      for (const bool with_totals : {false, true}) {
        for (const T bound : {T(0), T(8), T(15.75), std::numeric_limits<T>::infinity()}) {
          const std::vector<T> sums = some_scores<T>(n, zeros);
          const std::vector<T> totals = with_totals ? some_scores<T>(n, zeros) : std::vector<T>(n, T(0));
          const std::vector<std::uint32_t> some = some_documents(3, n, 0.5);
          for (const bool everywhere : {true, false}) {
            std::vector<std::uint32_t> documents;
            std::vector<T> found_sums, found_totals;
            for (std::size_t i = 0; i < n; ++i) {
              const std::uint32_t d = 3 + static_cast<std::uint32_t>(i);
              if (!everywhere && !std::binary_search(some.begin(), some.end(), d)) continue;
              if (sums[i] + totals[i] > bound) {
                documents.push_back(d);
                found_sums.push_back(sums[i]);
                found_totals.push_back(totals[i]);
              }
            }
            std::vector<T> s = sums, t = totals, a(n + 16, T(-1)), b(n + 16, T(-1));
            std::vector<std::uint32_t> d(n + 16, 0);
            T* const into = with_totals ? t.data() : nullptr;
            const std::size_t count =
                everywhere ? of<T>(level).collect(s.data(), into, n, 3, bound, d.data(), a.data(), b.data())
                           : of<T>(level).collect_at(some.data(), some.size(), 3, bound, s.data(), into, d.data(),
                                                     a.data(), b.data());
            CHECK(count == documents.size());
            CHECK(std::equal(documents.begin(), documents.end(), d.begin()));
            CHECK(std::equal(found_sums.begin(), found_sums.end(), a.begin()));
            if (with_totals) CHECK(std::equal(found_totals.begin(), found_totals.end(), b.begin()));
            if (!with_totals) CHECK(b == std::vector<T>(n + 16, T(-1)));
            for (std::size_t i = 0; i < n; ++i) {
              const bool seen =
                  everywhere || std::binary_search(some.begin(), some.end(), 3 + static_cast<std::uint32_t>(i));
              CHECK(s[i] == (seen ? T(0) : sums[i]));
              if (with_totals) CHECK(t[i] == (seen ? T(0) : totals[i]));
            }
          }
        }
      }
    }
  }
}

}  // namespace

CASE(at_least_the_baseline_runs) { CHECK(!levels().empty()); }

CASE(accumulate) {
  for (const Level& level : levels()) {
    test_accumulate<float>(level);
    test_accumulate<double>(level);
  }
}

CASE(flush) {
  for (const Level& level : levels()) {
    test_flush<float>(level);
    test_flush<double>(level);
  }
}

CASE(collect) {
  for (const Level& level : levels()) {
    test_collect<float>(level);
    test_collect<double>(level);
  }
}

CASE(count_descents) {
  for (const Level& level : levels()) {
    for (const std::size_t n : sizes()) {
      std::vector<std::uint32_t> values(n);
      std::iota(values.begin(), values.end(), 0xFFFFFF00u);  // near the top: the comparison is unsigned
      for (std::size_t i = 0; i < n; ++i) values[i] = 0xFFFFFFFFu - static_cast<std::uint32_t>(n - i);
      for (std::size_t bad = 0; bad <= n; ++bad) {  // one descent at every place, and none
        std::vector<std::uint32_t> v = values;
        if (bad + 1 < n) v[bad + 1] = bad % 2 == 0 ? v[bad] : 5;
        std::size_t expected = 0;
        for (std::size_t i = 0; i + 1 < n; ++i) expected += v[i] >= v[i + 1];
        CHECK(level.search->count_descents(v.data(), n) == expected);
        if (n > 300) bad += 97;
      }
    }
  }
}

CASE(count_extremes) {
  for (const Level& level : levels()) {
    for (const std::size_t n :
         {std::size_t{0}, std::size_t{1}, std::size_t{63}, std::size_t{64}, std::size_t{65}, std::size_t{1000},
          std::size_t{64 * 255}, std::size_t{64 * 255 + 1}, std::size_t{40000}}) {
      for (const int kind : {0, 1, 2, 3}) {  // all zero (a counter a lane would overflow), all 255, mixed, one of each
        std::vector<std::uint8_t> values(n, 254);
        for (std::uint8_t& v : values)
          if (kind < 3) v = kind == 0 ? 0 : kind == 1 ? 255 : static_cast<std::uint8_t>(random_bits() % 256);
        if (kind == 3 && n > 1) values[n / 2] = 0, values[random_bits() % (n / 2)] = 255;
        std::size_t zeros = 3, full = 4;
        level.search->count_extremes(values.data(), n, &zeros, &full);
        CHECK(zeros == 3 + static_cast<std::size_t>(std::count(values.begin(), values.end(), 0)));
        CHECK(full == 4 + static_cast<std::size_t>(std::count(values.begin(), values.end(), 255)));
      }
    }
  }
}
