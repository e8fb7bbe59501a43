// Plans that are never stored, and soft minima of the cost: streamed passes against plain loops over the whole matrix,
// for stored costs and for points, at sizes around the widths of the kernels; the same bits for two threads as for one.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "check.hpp"
#include "likewise/transport/plan_sums.hpp"

namespace {

using namespace likewise::transport;
using Values = std::vector<double>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
std::mt19937_64 random_bits(20261125);

Values normal(std::size_t n) {
  std::normal_distribution<double> draw;
  Values values(n);
  for (double& v : values) v = draw(random_bits);
  return values;
}

Values weights(std::size_t n) {
  std::exponential_distribution<double> draw;
  Values values(n);
  double sum = 0;
  for (double& v : values) sum += v = draw(random_bits);
  for (double& v : values) v /= sum;
  if (n > 2) values[n / 2] = 0;
  return values;
}

bool close(double found, double wanted, double size) { return std::abs(found - wanted) <= 1e-12 * (size + 1); }

struct Case {
  std::size_t n, m;
  Cost cost;
  Values matrix;  // the same costs in float64
};

void check_soft_min(const Case& c) {
  const double epsilon = 0.3;
  for (const bool transposed : {false, true}) {
    const std::size_t from = transposed ? c.n : c.m, to = transposed ? c.m : c.n;
    Values potential = normal(from), found(to), again(to);
    if (from > 2) potential[from / 3] = -kInfinity;
    soft_min(c.cost, potential, epsilon, transposed, found.data(), 1);
    soft_min(c.cost, potential, epsilon, transposed, again.data(), 2);
    CHECK(std::memcmp(found.data(), again.data(), to * sizeof(double)) == 0);
    for (std::size_t t = 0; t < to; ++t) {
      double sum = 0;
      for (std::size_t s = 0; s < from; ++s)
        sum += std::exp((potential[s] - c.matrix[transposed ? s * c.m + t : t * c.m + s]) / epsilon);
      CHECK(close(found[t], -epsilon * std::log(sum), 1));
    }
  }
}

void check_plan(const Case& c) {
  const Values a = weights(c.n), b = weights(c.m), f = normal(c.n), g = normal(c.m);
  const Plan plan{a, b, f, g, c.cost, 0.7};
  Values p(c.n * c.m), rows(c.n * c.m);
  double largest = 0;
  for (std::size_t i = 0; i < c.n; ++i)
    for (std::size_t j = 0; j < c.m; ++j) {
      const std::size_t k = i * c.m + j;
      p[k] = a[i] * b[j] * std::exp((f[i] + g[j] - c.matrix[k]) / 0.7);
      largest = std::max(largest, p[k]);
    }
  plan_rows(plan, 0, c.n, rows.data(), 1);
  double mean = 0;
  for (std::size_t k = 0; k < p.size(); ++k) mean += a[k / c.m] * b[k % c.m] * c.matrix[k];
  double mass = 0;
  for (std::size_t k = 0; k < p.size(); ++k) mass += a[k / c.m] * b[k % c.m];
  CHECK(close(mean_cost(a, b, c.cost, 2), mean / mass, 1));
  for (std::size_t k = 0; k < p.size(); ++k) CHECK(std::abs(rows[k] - p[k]) <= 1e-13 * largest);

  const Values alpha = weights(c.n), beta = weights(c.m);
  Values left = weights(c.n), right = weights(c.m);
  for (std::size_t i = 0; i < c.n; ++i) left[i] *= a[i];
  for (std::size_t j = 0; j < c.m; ++j) right[j] *= b[j];
  Values row_sums(c.n), column_sums(c.m), wanted_rows(c.n), wanted_columns(c.m);
  const PlanSums found = plan_sums(plan, alpha, beta, left, right, row_sums.data(), column_sums.data(), 2);
  PlanSums wanted;
  for (std::size_t i = 0; i < c.n; ++i)
    for (std::size_t j = 0; j < c.m; ++j) {
      const double q = alpha[i] * p[i * c.m + j] * beta[j] + left[i] * right[j], cost = c.matrix[i * c.m + j];
      wanted.mass += q;
      wanted.cost += q * cost;
      wanted.size += q * std::abs(cost);
      if (q > 0) wanted.entropy += q * std::log(q / (a[i] * b[j]));
      wanted_rows[i] += q;
      wanted_columns[j] += q;
    }
  CHECK(close(found.mass, wanted.mass, wanted.mass));
  CHECK(close(found.cost, wanted.cost, wanted.size));
  CHECK(close(found.size, wanted.size, wanted.size));
  CHECK(close(found.entropy, wanted.entropy, std::abs(wanted.entropy)));
  for (std::size_t i = 0; i < c.n; ++i) CHECK(close(row_sums[i], wanted_rows[i], wanted.mass));
  for (std::size_t j = 0; j < c.m; ++j) CHECK(close(column_sums[j], wanted_columns[j], wanted.mass));

  const Values v = normal(c.m * 3);
  Values product(c.n * 3);
  plan_product(plan, v.data(), 3, false, product.data(), 2);
  for (std::size_t i = 0; i < c.n; ++i)
    for (std::size_t r = 0; r < 3; ++r) {
      double sum = 0;
      for (std::size_t j = 0; j < c.m; ++j) sum += p[i * c.m + j] * v[j * 3 + r];
      CHECK(close(product[i * 3 + r], sum, wanted.mass));
    }
}

template <class T>
void check_all(std::size_t n, std::size_t m) {
  Values matrix = normal(n * m);
  std::vector<T> stored(matrix.begin(), matrix.end());
  for (std::size_t k = 0; k < matrix.size(); ++k) matrix[k] = static_cast<double>(stored[k]);
  const Case given{n, m, StoredCost<T>{stored.data(), n, m}, matrix};
  check_soft_min(given);
  check_plan(given);

  constexpr std::size_t d = 3;
  const Values x_values = normal(n * d), y_values = normal(m * d);
  const std::vector<T> x(x_values.begin(), x_values.end()), y(y_values.begin(), y_values.end());
  for (const Metric metric : {Metric::sqeuclidean, Metric::euclidean, Metric::cosine}) {
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < m; ++j) {
        double squares = 0, dot = 0, xx = 0, yy = 0;
        for (std::size_t k = 0; k < d; ++k) {
          const double u = static_cast<double>(x[i * d + k]), v = static_cast<double>(y[j * d + k]);
          squares += (u - v) * (u - v);
          dot += u * v;
          xx += u * u;
          yy += v * v;
        }
        matrix[i * m + j] = metric == Metric::cosine      ? 1 - dot / std::sqrt(xx * yy)
                            : metric == Metric::euclidean ? std::sqrt(squares)
                                                          : squares;
      }
    const Case points{n, m, PointCost<T>{x.data(), y.data(), n, m, d, metric}, matrix};
    check_soft_min(points);
    check_plan(points);
  }
}

}  // namespace

CASE(soft_minima_and_sums_over_plans) {
  for (const std::size_t n : {1, 2, 5, 400})
    for (const std::size_t m : {1, 3, 8, 17, 33, 350}) {
      check_all<double>(n, m);
      check_all<float>(n, m);
    }
}
