// Sampling: every kernel with the same bits at every CPU level, and near the plain loop; what the core draws; loops.
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
#include "likewise/decoding.hpp"

namespace {

using likewise::span;
using likewise::value_error;
using likewise::kernels::DecodingTable;
using likewise::kernels::SamplingKernels;
using likewise::kernels::WeightScale;
using likewise::kernels::kTokenBlock;
using namespace likewise::decoding;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
std::mt19937_64 random_bits(20261125);

std::vector<const DecodingTable*> levels() {
  std::vector<const DecodingTable*> found;
  const std::vector<std::string> available = likewise::level_report().available;
#define LIKEWISE_ADD(level)                                                    \
  if (std::find(available.begin(), available.end(), #level) != available.end()) \
    found.push_back(&likewise::kernels::level::decoding_kernels);
  LIKEWISE_LEVELS(LIKEWISE_ADD)
#undef LIKEWISE_ADD
  return found;
}

template <class T>
const SamplingKernels<T>& of(const DecodingTable& table) {
  if constexpr (sizeof(T) == 4) {
    return table.f32;
  } else {
    return table.f64;
  }
}

WeightScale<float> scale_of(float top, double temperature) {
  return {top, static_cast<float>(1.4426950408889634 / temperature)};
}
WeightScale<double> scale_of(double top, double temperature) { return {0.5 * top, 0.5 * temperature}; }

template <class T>
std::vector<T> logits(std::size_t n) {
  std::normal_distribution<double> normal(0, 4);
  std::vector<T> z(n);
  for (T& x : z) x = static_cast<T>(normal(random_bits));
  for (std::size_t i = 5; i < n; i += 7) z[i] = static_cast<T>(-kInfinity);
  for (std::size_t i = 3; i < n; i += 11) z[i] = z[0];
  return z;
}

template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

template <class T>
void check_row(std::size_t n) {
  const std::vector<T> z = logits<T>(n);
  const std::size_t n_blocks = (n + kTokenBlock - 1) / kTokenBlock;
  const T top = *std::max_element(z.begin(), z.end()), threshold = top - T(5), lowest = top - T(60);
  for (const double temperature : {0.4, 1.0, 3.0}) {
    const WeightScale<T> scale = scale_of(top, temperature);
    std::vector<std::vector<T>> all_weights, all_rescaled;
    std::vector<std::vector<double>> all_sums;
    for (const DecodingTable* table : levels()) {
      const SamplingKernels<T>& k = of<T>(*table);
      std::vector<T> largest(n_blocks), weights(n), rescaled(n), offsets(n);
      std::vector<double> sums(n_blocks), rough(n_blocks);
      CHECK(k.maxima(z.data(), n, largest.data()));
      k.sums(z.data(), n, scale, lowest, sums.data());
      k.rough_sums(z.data(), n, scale, rough.data());
      k.weights(z.data(), n, scale, lowest, weights.data());
      for (std::size_t b = 0; b < n_blocks; ++b) {
        const std::size_t first = b * kTokenBlock, last = std::min(n, first + kTokenBlock);
        CHECK(largest[b] == *std::max_element(&z[first], z.data() + last));
        double sum = 0;
        for (std::size_t i = first; i < last; ++i) {
          const double exact = std::exp((static_cast<double>(z[i]) - static_cast<double>(top)) / temperature);
          const double weight = static_cast<double>(weights[i]);
          if (z[i] < lowest) CHECK(weight == 0);
          // Beside the polynomial: z - top, and its product, are rounded.
          const double rounded = sizeof(T) == 4 ? 3e-7 + 1.2e-7 * std::fabs(std::log(exact)) : 1e-13;
          if (z[i] >= lowest) CHECK(std::fabs(weight - exact) <= rounded * exact);
          sum += weight;
        }
        CHECK(std::fabs(sums[b] - sum) <= (sizeof(T) == 4 ? 4e-7 : 1e-14) * sum);
        CHECK(rough[b] >= sum * (1 - 1e-4) && rough[b] <= sum * likewise::kernels::kRough * (1 + 1e-4) + 1e-20);
      }
      // A threshold within the row.
      k.sums(z.data(), n, scale, threshold, sums.data());
      double kept = 0;
      for (std::size_t i = 0; i < n; ++i) kept += z[i] >= threshold ? static_cast<double>(weights[i]) : 0;
      double total = 0;
      for (const double sum : sums) total += sum;
      CHECK(std::fabs(total - kept) <= 4e-7 * kept);
      k.rescale(z.data(), n, threshold, 1.5, temperature, -2.0, rescaled.data());
      for (std::size_t i = 0; i < n; ++i) {
        const double exact = (static_cast<double>(z[i]) - 1.5) / temperature - 2;
        CHECK(z[i] >= threshold ? std::fabs(static_cast<double>(rescaled[i]) - exact) <= 1e-6 * (1 + std::fabs(exact))
                                : std::isinf(rescaled[i]));
      }
      k.offsets(z.data(), n, top, T(16), T(80), offsets.data());
      std::vector<T> found(n + 16), between(n + 16);
      std::vector<std::uint32_t> ids(n + 16);
      const std::size_t n_found = k.gather(z.data(), n, 1000, threshold, found.data(), ids.data());
      CHECK(n_found == k.count(z.data(), n, threshold));
      std::size_t at = 0;
      for (std::size_t i = 0; i < n; ++i) {
        CHECK(offsets[i] == std::min((top - z[i]) * T(16), T(80)));
        if (z[i] < threshold) continue;
        CHECK(at < n_found && found[at] == z[i] && ids[at] == 1000 + i);
        ++at;
      }
      CHECK(at == n_found);
      const std::size_t n_between =
          k.gather_between(z.data(), n, 0, top, T(16), T(80), T(10), T(50), between.data(), ids.data());
      at = 0;
      for (std::size_t i = 0; i < n; ++i) {
        if (offsets[i] < T(10) || offsets[i] >= T(50)) continue;
        CHECK(at < n_between && between[at] == z[i] && ids[at] == i);
        ++at;
      }
      CHECK(at == n_between);
      all_weights.push_back(weights);
      sums.insert(sums.end(), rough.begin(), rough.end());
      all_sums.push_back(sums);
      all_rescaled.push_back(rescaled);
    }
    for (std::size_t i = 1; i < all_sums.size(); ++i)
      CHECK(same(all_sums[i], all_sums[0]) && same(all_weights[i], all_weights[0]) &&
            same(all_rescaled[i], all_rescaled[0]));
  }
}

/// Every float of half precision, by arithmetic.
float half(std::uint32_t bits) {
  const std::uint32_t exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  double size = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, static_cast<int>(exponent) - 25);
  if (exponent == 31) size = mantissa == 0 ? kInfinity : std::numeric_limits<double>::quiet_NaN();
  return static_cast<float>((bits & 0x8000) != 0 ? -size : size);
}

Logits rows(const std::vector<double>& z, std::size_t n_rows) {
  const std::size_t n = z.size() / n_rows;
  return {reinterpret_cast<const char*>(z.data()), Element::float64, n_rows, n,
          static_cast<std::ptrdiff_t>(8 * n), 8};
}

Filter plain_filter() {
  Filter filter;
  filter.temperature = {1};
  filter.top_k = {0};
  filter.top_p = {1};
  filter.min_p = {0};
  filter.typical_p = {1};
  return filter;
}

}  // namespace

CASE(rows_at_every_level) {
  for (std::size_t n = 1; n < 70; ++n) {
    check_row<float>(n);
    check_row<double>(n);
  }
  for (const std::size_t n : {std::size_t{255}, std::size_t{256}, std::size_t{257}, std::size_t{1000}, std::size_t{5003}}) {
    check_row<float>(n);
    check_row<double>(n);
  }
}

CASE(numbers_that_are_refused) {
  for (const DecodingTable* table : levels())
    for (std::size_t n = 1; n < 300; n += n < 40 ? 1 : 37)
      for (std::size_t i = 0; i < n; i += 1 + n / 20)
        for (const double bad : {kInfinity, std::numeric_limits<double>::quiet_NaN(), -std::nan("")}) {
          std::vector<float> z(n, -1);
          std::vector<double> y(n, -1);
          std::vector<float> largest(2);
          std::vector<double> largest_y(2);
          z[i] = static_cast<float>(bad);
          y[i] = bad;
          CHECK(!table->f32.maxima(z.data(), n, largest.data()));
          CHECK(!table->f64.maxima(y.data(), n, largest_y.data()));
        }
}

CASE(half_precision) {
  for (const DecodingTable* table : levels()) {
    std::vector<std::uint16_t> bits(1 << 16), back(1 << 16);
    for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<std::uint16_t>(i);
    std::vector<float> values(bits.size());
    table->from_halves(bits.data(), bits.size(), values.data());
    for (std::size_t i = 0; i < bits.size(); ++i) {
      const float expected = half(static_cast<std::uint32_t>(i));
      CHECK(std::isnan(expected) ? std::isnan(values[i]) : std::memcmp(&values[i], &expected, 4) == 0);
    }
    table->to_halves(values.data(), values.size(), back.data());
    for (std::size_t i = 0; i < bits.size(); ++i) CHECK(std::isnan(values[i]) || back[i] == bits[i]);
    // Between neighbours: the middle goes to the even one, all else to the nearer one.
    for (std::size_t i = 0; i < 0x7C00; ++i) {
      const double low = static_cast<double>(values[i]);
      const double high = i + 1 == 0x7C00 ? 65536 : static_cast<double>(values[i + 1]);
      const float middle = static_cast<float>(0.5 * (low + high));
      const float between[] = {std::nextafter(middle, 0.0f), middle, std::nextafter(middle, 1e9f), -middle};
      std::uint16_t rounded[4];
      table->to_halves(between, 4, rounded);
      const std::uint16_t even = static_cast<std::uint16_t>(i + (i & 1));
      CHECK(rounded[0] == i && rounded[1] == even && rounded[2] == i + 1 && rounded[3] == (even | 0x8000));
    }
    table->from_bfloats(bits.data(), bits.size(), values.data());
    table->to_bfloats(values.data(), values.size(), back.data());
    for (std::size_t i = 0; i < bits.size(); ++i) {
      const std::uint32_t wide = static_cast<std::uint32_t>(i) << 16;
      CHECK(std::memcmp(&values[i], &wide, 4) == 0);
      CHECK(std::isnan(values[i]) || back[i] == bits[i]);
      if (i >= 0x7F7F) continue;
      const std::uint32_t halves[] = {wide + 0x7FFF, wide + 0x8000, wide + 0x8001};
      float between[3];
      std::memcpy(between, halves, sizeof between);
      std::uint16_t rounded[3];
      table->to_bfloats(between, 3, rounded);
      CHECK(rounded[0] == i && rounded[1] == i + (i & 1) && rounded[2] == i + 1);
    }
  }
}

CASE(runs_at_every_level) {
  for (std::size_t n = 0; n < 70; ++n) {
    std::vector<std::int32_t> history(n), needed(n), start(n);
    for (std::size_t i = 0; i < n; ++i) {
      history[i] = static_cast<std::int32_t>(random_bits() % 2);
      needed[i] = static_cast<std::int32_t>(1 + random_bits() % 3);
      start[i] = static_cast<std::int32_t>(random_bits() % 2);
    }
    std::vector<std::int32_t> expected(n);
    std::size_t last = 0;
    for (std::size_t i = 0; i < n; ++i) {
      expected[i] = history[i] == 1 ? std::min(start[i] + 1, needed[i]) : 0;
      if (expected[i] == needed[i]) last = i + 1;
    }
    for (const DecodingTable* table : levels()) {
      std::vector<std::int32_t> runs(start);
      CHECK(table->extend_runs(history.data(), 1, needed.data(), n, runs.data()) == last && same(runs, expected));
    }
  }
}

CASE(tokens_by_hand) {
  const std::vector<double> z{std::log(0.5), std::log(0.3), std::log(0.15), std::log(0.05)};
  const std::vector<std::int64_t> step{2};
  Filter filter = plain_filter();
  filter.top_k = {2};
  filter.eos = {3};
  const double u[] = {0.58, 0.59, 0.95};
  const std::int64_t expected[] = {0, 1, 3};
  for (std::size_t i = 0; i < 3; ++i) {
    std::int64_t token = -1, kept = 0;
    double log_probability = 0, of_end = 0;
    std::uint8_t floored = 2;
    const Report report{&log_probability, &kept, &of_end, &floored};
    sample(rows(z, 1), filter, step, u + i, &token, &report, 1);
    CHECK(token == expected[i] && kept == 3 && floored == 0 && std::fabs(of_end - 0.05 / 0.85) < 1e-12);
  }
  filter.epsilon = 0.1;
  std::vector<double> out(4);
  const MutableLogits to{reinterpret_cast<char*>(out.data()), Element::float64, 1, 4, 32, 8};
  filter_logits(rows(z, 1), filter, step, true, to, 1);
  CHECK(std::fabs(std::exp(out[0]) - 0.455625) < 1e-12 && std::fabs(std::exp(out[3]) - 0.271) < 1e-12);
  CHECK(std::isinf(out[2]) && floor_value(0.1, 3, 2) == 0);
  const std::vector<double> masked{0, -kInfinity, 0, -kInfinity}, nothing(4, -kInfinity);
  std::int64_t token = 0;
  CHECK_THROWS(value_error, sample(rows(masked, 1), filter, step, u, &token, nullptr, 1));
  CHECK_THROWS(value_error, sample(rows(nothing, 1), filter, step, u, &token, nullptr, 1));
}

CASE(loops_by_hand) {
  LoopDetector detector(256, 4, 8, 2);
  const std::int64_t tokens[] = {5, 1, 2, 1, 2, 1, 2, 1, 2};
  for (std::size_t i = 0; i < 9; ++i) {
    const std::int64_t pair[] = {tokens[i], tokens[8 - i]};
    std::int64_t periods[2];
    detector.push(pair, nullptr, periods);
    CHECK(periods[0] == (i == 8 ? 2 : 0) && periods[1] == (i == 7 ? 2 : 0));
  }
  const std::int64_t wide[] = {1, std::int64_t{1} << 31};
  std::int64_t periods[2];
  CHECK_THROWS(value_error, detector.push(wide, nullptr, periods));
  const std::int64_t order[] = {1, 0, 0};
  detector.reorder(span<const std::int64_t>(order, 3));
  CHECK(detector.n_rows() == 3);
  const std::int64_t next[] = {1, 1, 9};
  std::int64_t found[3];
  detector.push(next, nullptr, found);
  CHECK(found[0] == 0 && found[1] == 2 && found[2] == 0);
  detector.reset(1);
  detector.push(next, nullptr, found);
  CHECK(found[1] == 0);
}
