// Centring at every CPU level that this machine runs, against the plain loop: equal bits.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/dispatch.hpp"
#include "kernels/table.hpp"
#include "likewise/whitening.hpp"

namespace {

using likewise::kernels::WhiteningKernels;
using likewise::kernels::WhiteningTable;

std::vector<const WhiteningTable*> levels() {
  std::vector<const WhiteningTable*> found;
  const std::vector<std::string> available = likewise::level_report().available;
#define LIKEWISE_ADD(level)                                                    \
  if (std::find(available.begin(), available.end(), #level) != available.end()) \
    found.push_back(&likewise::kernels::level::whitening_kernels);
  LIKEWISE_LEVELS(LIKEWISE_ADD)
#undef LIKEWISE_ADD
  return found;
}

std::mt19937_64 random_bits(20261125);

template <class T>
std::vector<T> some(std::size_t n) {
  std::normal_distribution<T> normal(T(100));
  std::vector<T> values(n);
  for (T& v : values) v = normal(random_bits);
  return values;
}

template <class T>
void test_level(const WhiteningKernels<T>& kernels, std::size_t n, std::size_t d) {
  std::vector<T> x = some<T>(n * d), mean = some<T>(d), rest = some<T>(d), expected(n * d), out(n * d + 1, T(7));
  for (T& v : rest) v *= T(1e-5);
  T largest = 0;
  for (std::size_t i = 0; i < n * d; ++i) {
    expected[i] = x[i] - mean[i % d] - rest[i % d];
    largest = std::max(largest, std::abs(expected[i]));
  }
  CHECK(kernels.centre(x.data(), mean.data(), rest.data(), n, d, out.data()) == largest);
  CHECK(std::equal(expected.begin(), expected.end(), out.begin()));
  CHECK(out.back() == T(7));
  // One value that is not finite, wherever it is, shows.
  const T bad[] = {std::numeric_limits<T>::infinity(), -std::numeric_limits<T>::infinity(),
                   std::numeric_limits<T>::quiet_NaN(), -std::numeric_limits<T>::quiet_NaN()};
  for (std::size_t i = 0; i < n * d; ++i) {
    const T before = x[i];
    x[i] = bad[i % 4];
    CHECK(!std::isfinite(kernels.centre(x.data(), mean.data(), rest.data(), n, d, out.data())));
    x[i] = before;
  }
}

}  // namespace

CASE(centring_at_every_level) {
  for (const WhiteningTable* table : levels()) {
    for (std::size_t d = 1; d < 70; ++d)
      for (const std::size_t n : {std::size_t{0}, std::size_t{1}, std::size_t{3}}) {
        test_level<float>(table->f32, n, d);
        test_level<double>(table->f64, n, d);
      }
  }
}

CASE(centring_by_the_core) {
  const float x[2] = {1, -5}, mean[2] = {1, 1}, rest[2] = {0, 1};
  float out[2];
  CHECK(likewise::whitening::centre(x, mean, rest, 1, 2, out) == 7 && out[0] == 0 && out[1] == -7);
  const double y = 3, zero = 0;
  double result = 1;
  CHECK(likewise::whitening::centre(&y, &y, &zero, 1, 1, &result) == 0 && result == 0);
}
