// Entropic transport: every kernel at every CPU level against the plain loop, and what the solver promises.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/dispatch.hpp"
#include "core/transport/anderson.hpp"
#include "kernels/table.hpp"
#include "likewise/transport/sinkhorn.hpp"

namespace {

using namespace likewise::transport;
using likewise::kernels::kPad;
using likewise::kernels::kTileColumns;
using likewise::kernels::kTileRows;
using likewise::kernels::ScalingKernels;
using likewise::kernels::SinkhornKernels;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
std::mt19937_64 random_bits(20260401);

struct Level {
  const SinkhornKernels* sinkhorn;
  const ScalingKernels* scaling;
};
std::vector<Level> levels() {
  std::vector<Level> found;
  const std::vector<std::string> available = likewise::level_report().available;
#define LIKEWISE_ADD(level)                                                     \
  if (std::find(available.begin(), available.end(), #level) != available.end()) \
    found.push_back({&likewise::kernels::level::sinkhorn_kernels, &likewise::kernels::level::scaling_kernels});
  LIKEWISE_LEVELS(LIKEWISE_ADD)
#undef LIKEWISE_ADD
  return found;
}

template <class T>
std::vector<T> uniform(std::size_t n, double low, double high) {
  std::uniform_real_distribution<double> draw(low, high);
  std::vector<T> values(n);
  for (T& v : values) v = static_cast<T>(draw(random_bits));
  return values;
}

bool close(double a, double b, double relative) {
  return std::abs(a - b) <= relative * std::max(std::abs(a), std::abs(b)) + 1e-300;
}

template <class C>
const likewise::kernels::CostKernels<C>& cost_of(const SinkhornKernels& table) {
  if constexpr (sizeof(C) == 4) {
    return table.f32;
  } else {
    return table.f64;
  }
}

template <class C>
void check_rows(const SinkhornKernels& table) {
  const auto& kernel = cost_of<C>(table);
  const double shift = 0.25, scale = 3, own = -1.5;
  for (const std::size_t m : {1, 2, 7, 8, 15, 16, 17, 31, 33, 100, 1500}) {
    const std::vector<C> cost = uniform<C>(m, 0, 60);
    std::vector<double> potential = uniform<double>(m, -5, 5);
    if (m > 2) potential[m / 2] = -1e300;
    std::vector<double> t(m), e(m), maxima(m, 0.5);
    for (std::size_t j = 0; j < m; ++j) t[j] = potential[j] - (static_cast<double>(cost[j]) - shift) * scale;
    CHECK(close(kernel.max_exponent(cost.data(), potential.data(), m, shift, scale),
                *std::max_element(t.begin(), t.end()), 1e-14));
    double sum = kernel.exponentials(cost.data(), potential.data(), m, shift, scale, own, e.data()), expected = 0;
    for (std::size_t j = 0; j < m; ++j) {
      CHECK(t[j] + own < -99 ? e[j] <= 1e-43 : close(e[j], std::exp(t[j] + own), 1e-13));
      expected += e[j];
    }
    CHECK(close(sum, expected, 1e-14));
    std::vector<float> f((m + kPad - 1) / kPad * kPad, -1.0f);
    sum = kernel.float_exponentials(cost.data(), potential.data(), m, shift, scale, own, f.data());
    for (std::size_t j = 0; j < f.size(); ++j)
      CHECK(j >= m || t[j] + own < -85 ? f[j] < 1e-36f : close(static_cast<double>(f[j]), std::exp(t[j] + own), 1e-5));
    CHECK(std::abs(sum - expected) <= 1e-5 * expected + 1e-30);
    std::vector<std::uint32_t> found(m);
    found.resize(kernel.find_above(cost.data(), potential.data(), m, shift, scale, own, -40, found.data()));
    std::vector<std::uint32_t> above;
    for (std::size_t j = 0; j < m; ++j)
      if (t[j] + own > -40) above.push_back(static_cast<std::uint32_t>(j));
    CHECK(found == above);
    kernel.max_with(cost.data(), m, shift, scale, own, maxima.data());
    double total = 0;
    for (std::size_t j = 0; j < m; ++j) {
      CHECK(close(maxima[j], std::max(0.5, own - (static_cast<double>(cost[j]) - shift) * scale), 1e-13));
      total += (static_cast<double>(cost[j]) - shift) * e[j];
    }
    CHECK(close(kernel.weighted_cost(cost.data(), e.data(), m, shift), total, 1e-12));
    std::vector<double> columns(m, 0.125);
    double total_cost = -1;
    sum = kernel.add_plan(cost.data(), potential.data(), m, shift, scale, own, 0.5, columns.data(), &total_cost);
    CHECK(close(sum, 0.5 * expected, 1e-12) && close(total_cost, 0.5 * total, 1e-12));
    for (std::size_t j = 0; j < m; ++j) CHECK(close(columns[j], 0.125 + 0.5 * e[j], 1e-14));
  }
  // A tile: three rows, columns out of order.
  std::vector<C> a = uniform<C>(40, 0, 2), b = uniform<C>(40, 0, 2), c = uniform<C>(40, 0, 2);
  const C* rows[] = {a.data(), b.data(), c.data()};
  std::uint32_t columns[kTileColumns];
  for (std::size_t k = 0; k < kTileColumns; ++k) columns[k] = static_cast<std::uint32_t>(k * 7 % 40);
  const std::vector<double> potential = uniform<double>(kTileColumns, -1, 1), rest = uniform<double>(3, -1, 1);
  std::vector<float> tile(kTileRows * kTileColumns, -1.0f);
  kernel.fill_tile(rows, 3, columns, potential.data(), shift, scale, rest.data(), tile.data());
  for (std::size_t r = 0; r < kTileRows; ++r)
    for (std::size_t k = 0; k < kTileColumns; ++k) {
      const double value = static_cast<double>(tile[r * kTileColumns + k]);
      if (r >= 3) {
        CHECK(value == 0);
      } else {
        const double exponent = rest[r] + potential[k] - (static_cast<double>(rows[r][columns[k]]) - shift) * scale;
        CHECK(close(value, std::exp(exponent), 1e-6));
      }
    }
}

template <class T>
void check_points(const likewise::kernels::PointKernels<T>& kernel) {
  for (const std::size_t d : {1, 2, 3, 64, 65, 130})
    for (const std::size_t m : {1, 7, 8, 9, 20}) {
      const std::size_t n = 3;
      const std::vector<T> x = uniform<T>(n * d, 1e6, 1e6 + 1), y = uniform<T>(m * d, 1e6, 1e6 + 1);
      const std::vector<double> x_scale = uniform<double>(n, 1, 2), y_scale = uniform<double>(m, 1, 2);
      for (const bool scaled : {false, true}) {
        std::vector<double> out(n * m, -1);
        kernel.squared_distances(x.data(), scaled ? x_scale.data() : nullptr, n, y.data(),
                                 scaled ? y_scale.data() : nullptr, m, d, out.data());
        for (std::size_t i = 0; i < n; ++i)
          for (std::size_t j = 0; j < m; ++j) {
            double expected = 0;
            for (std::size_t k = 0; k < d; ++k) {
              const double difference = static_cast<double>(x[i * d + k]) * (scaled ? x_scale[i] : 1) -
                                        static_cast<double>(y[j * d + k]) * (scaled ? y_scale[j] : 1);
              expected += difference * difference;
            }
            CHECK(close(out[i * m + j], expected, 1e-12));
          }
      }
    }
}

void check_scaling(const ScalingKernels& kernel) {
  for (const std::size_t m : {16, 32, 48, 1024, 1040, 2064})
    for (const std::size_t n_rows : {1, 2, 3, 4}) {
      const std::vector<float> k = uniform<float>(n_rows * m, 0, 1), v = uniform<float>(m, 0, 1);
      const std::vector<float> w = uniform<float>(4, 0, 1);
      std::vector<float> columns(m, 0.5f);
      std::vector<double> sums(4, -1);
      kernel.row_sums(k.data(), m, n_rows, v.data(), m, sums.data());
      kernel.add_rows(k.data(), m, n_rows, w.data(), m, columns.data());
      for (std::size_t r = 0; r < n_rows; ++r) {
        double expected = 0;
        for (std::size_t j = 0; j < m; ++j) expected += static_cast<double>(k[r * m + j]) * static_cast<double>(v[j]);
        CHECK(close(sums[r], expected, 1e-6));
      }
      for (std::size_t j = 0; j < m; ++j) {
        double expected = 0.5;
        for (std::size_t r = 0; r < n_rows; ++r)
          expected += static_cast<double>(w[r]) * static_cast<double>(k[r * m + j]);
        CHECK(close(static_cast<double>(columns[j]), expected, 1e-6));
      }
      std::vector<double> total(m, 1);
      const std::vector<float> before = columns;
      kernel.flush(columns.data(), m, total.data());
      for (std::size_t j = 0; j < m; ++j) CHECK(columns[j] == 0 && total[j] == 1 + static_cast<double>(before[j]));
    }

  const std::uint32_t blocks[] = {0, 2, 3};
  const std::vector<float> tiles = uniform<float>(3 * kTileRows * kTileColumns, 0, 1);
  const std::vector<float> v = uniform<float>(4 * kTileColumns, 0, 1), w = uniform<float>(kTileRows, 0, 1);
  std::vector<float> columns(4 * kTileColumns, 0.25f);
  std::vector<double> sums(kTileRows), expected_sums(kTileRows), expected(4 * kTileColumns, 0.25);
  kernel.tile_sums(tiles.data(), blocks, 3, v.data(), sums.data());
  kernel.add_tiles(tiles.data(), blocks, 3, w.data(), columns.data());
  for (std::size_t t = 0; t < 3; ++t)
    for (std::size_t r = 0; r < kTileRows; ++r)
      for (std::size_t k = 0; k < kTileColumns; ++k) {
        const double value = static_cast<double>(tiles[(t * kTileRows + r) * kTileColumns + k]);
        expected_sums[r] += value * static_cast<double>(v[blocks[t] * kTileColumns + k]);
        expected[blocks[t] * kTileColumns + k] += value * static_cast<double>(w[r]);
      }
  for (std::size_t r = 0; r < kTileRows; ++r) CHECK(close(sums[r], expected_sums[r], 1e-6));
  for (std::size_t k = 0; k < columns.size(); ++k) CHECK(close(static_cast<double>(columns[k]), expected[k], 1e-6));
}

void check_vectors(const Level& level) {
  const ScalingKernels& kernel = *level.scaling;
  for (const std::size_t m : {1, 3, 8, 15, 16, 17, 40}) {
    const std::vector<double> x = uniform<double>(m, -3, 3), reference = uniform<double>(m, -3, 3);
    std::vector<float> factors(m + kPad);
    const double moved = kernel.exp_differences(x.data(), reference.data(), m, factors.data());
    double largest = 0;
    for (std::size_t j = 0; j < m; ++j) {
      largest = std::max(largest, std::abs(x[j] - reference[j]));
      CHECK(close(static_cast<double>(factors[j]), std::exp(x[j] - reference[j]), 1e-7));
    }
    CHECK(moved == largest && factors[m] == 0);

    std::vector<double> b = uniform<double>(m, 0.5, 1), sums = uniform<double>(m, 1e-8, 2), image(m), logs(m);
    if (m > 3) b[2] = 0;
    const double error = kernel.column_step(sums.data(), b.data(), x.data(), m, 1e-25, image.data());
    double expected = 0;
    for (std::size_t j = 0; j < m; ++j) {
      expected += b[j] > 0 ? std::abs(sums[j] - b[j]) : 0;
      CHECK(std::abs(image[j] - (b[j] > 0 ? x[j] + std::log(b[j] / sums[j]) : x[j])) < 1e-13);
    }
    CHECK(close(error, expected, 1e-13));
    level.sinkhorn->logarithms(sums.data(), m, logs.data());
    for (std::size_t j = 0; j < m; ++j) CHECK(std::abs(logs[j] - std::log(sums[j])) <= 4e-15 * std::abs(logs[j]));
    sums[m - 1] = 0;
    CHECK(kernel.column_step(sums.data(), b.data(), x.data(), m, 1e-25, image.data()) == kInfinity);

    const std::vector<float> vectors = uniform<float>(3 * m, -1, 1);
    std::vector<double> products(3), y = x;
    const std::vector<double> theta = {0.5, -2, 3};
    kernel.products(vectors.data(), 3, x.data(), m, products.data());
    kernel.subtract(vectors.data(), 3, theta.data(), m, y.data());
    for (std::size_t k = 0; k < 3; ++k) {
      double sum = 0;
      for (std::size_t j = 0; j < m; ++j) sum += static_cast<double>(vectors[k * m + j]) * x[j];
      CHECK(std::abs(products[k] - sum) < 1e-12);
    }
    for (std::size_t j = 0; j < m; ++j) {
      double value = x[j];
      for (std::size_t k = 0; k < 3; ++k) value -= theta[k] * static_cast<double>(vectors[k * m + j]);
      CHECK(std::abs(y[j] - value) < 1e-12);
    }
  }
}

CASE(kernels_at_every_level) {
  for (const Level& level : levels()) {
    check_rows<float>(*level.sinkhorn);
    check_rows<double>(*level.sinkhorn);
    check_points(level.sinkhorn->points32);
    check_points(level.sinkhorn->points64);
    check_scaling(*level.scaling);
    check_vectors(level);
  }
}

struct Result {
  SinkhornReport report;
  std::vector<double> f, g, history;
};

Result solve(const SinkhornProblem& problem, const SinkhornOptions& options) {
  Result result{{},
                std::vector<double>(problem.a.size),
                std::vector<double>(problem.b.size),
                std::vector<double>(options.max_iterations + 1)};
  result.report = sinkhorn(problem, options, result.f, result.g, result.history);
  return result;
}

const std::vector<double> kA = {.5, .3, .2}, kB = {.4, .4, .2};
const std::vector<double> kX = {0, 1, 3}, kY = {.5, 2, 2.5};

CASE(the_example_of_three_points) {
  const double expected[][3] = {{1, 1.093966394486, 1.452654771472},
                                {.5, .918698962601, 1.219261599817},
                                {.235, .856894494638, 1.037482555594},
                                {.1, .850022240639, .930469671523},
                                {.01, .85, .8580471896}};  // plain iterations crawl here
  std::vector<double> matrix;
  for (const double x : kX)
    for (const double y : kY) matrix.push_back((x - y) * (x - y));
  const Cost costs[] = {StoredCost<double>{matrix.data(), 3, 3},
                        PointCost<double>{kX.data(), kY.data(), 3, 3, 1, Metric::sqeuclidean}};
  for (const Cost& cost : costs)
    for (const auto& row : expected) {
      SinkhornProblem problem{kA, kB, cost, row[0]};
      SinkhornOptions options;
      options.tolerance = 1e-12;
      const Result result = solve(problem, options);
      CHECK(result.report.converged && result.report.n_iterations < 200);
      CHECK(std::abs(result.report.cost - row[1]) < 1e-10);
      CHECK(std::abs(result.report.regularised_cost - row[2]) < 1e-10);
    }
}

CASE(plain_iterations_are_those_of_the_textbook) {
  SinkhornProblem problem{kA, kB, PointCost<double>{kX.data(), kY.data(), 3, 3, 1, Metric::sqeuclidean}, .5};
  for (const std::size_t n : {1, 2, 7}) {
    SinkhornOptions options;
    options.tolerance = 1e-15;
    options.max_iterations = n;
    options.anderson = 0;
    const Result result = solve(problem, options);
    std::vector<double> u(3, 1), v(3, 1);
    const auto k = [&](std::size_t i, std::size_t j) { return std::exp(-(kX[i] - kY[j]) * (kX[i] - kY[j]) / .5); };
    for (std::size_t step = 0; step < n; ++step) {
      for (std::size_t i = 0; i < 3; ++i) {
        double sum = 0;
        for (std::size_t j = 0; j < 3; ++j) sum += kB[j] * k(i, j) * v[j];
        u[i] = 1 / sum;
      }
      for (std::size_t j = 0; j < 3; ++j) {
        double sum = 0;
        for (std::size_t i = 0; i < 3; ++i) sum += kA[i] * k(i, j) * u[i];
        v[j] = 1 / sum;
      }
    }
    double move = 0;
    for (std::size_t i = 0; i < 3; ++i) move += (kB[i] * std::log(v[i]) - kA[i] * std::log(u[i])) / 4;
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(std::abs(result.f[i] - (.5 * std::log(u[i]) + move)) < 1e-12);
      CHECK(std::abs(result.g[i] - (.5 * std::log(v[i]) - move)) < 1e-12);
    }
  }
}

CASE(methods_agree_and_threads_change_nothing) {
  const std::size_t n = 420, m = 370, d = 2;
  const std::vector<float> x = uniform<float>(n * d, 0, 1), y = uniform<float>(m * d, .2, 1.2);
  std::vector<float> matrix(n * m);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < m; ++j)
      for (std::size_t k = 0; k < d; ++k)
        matrix[i * m + j] += (x[i * d + k] - y[j * d + k]) * (x[i * d + k] - y[j * d + k]);
  std::vector<double> a = uniform<double>(n, 0, 1), b = uniform<double>(m, 0, 1);
  a[3] = b[0] = b[200] = 0;
  for (std::vector<double>* weights : {&a, &b}) {
    double sum = 0;
    for (const double w : *weights) sum += w;
    for (double& w : *weights) w /= sum;
  }
  const Cost costs[] = {StoredCost<float>{matrix.data(), n, m},
                        PointCost<float>{x.data(), y.data(), n, m, d, Metric::sqeuclidean}};
  for (const double epsilon : {.05, .0005})
    for (const double tolerance : {1e-6, 1e-9}) {
      double cost = -1;
      for (const Cost& source : costs)
        for (const SinkhornMethod method :
             {SinkhornMethod::automatic, SinkhornMethod::log, SinkhornMethod::kernel, SinkhornMethod::sparse}) {
          SinkhornProblem problem{a, b, source, epsilon};
          SinkhornOptions options;
          options.tolerance = tolerance;
          options.method = method;
          const Result result = solve(problem, options);
          CHECK(result.report.converged && result.report.marginal_error <= tolerance);
          if (cost < 0) cost = result.report.cost;
          CHECK(std::abs(result.report.cost - cost) < 10 * tolerance + 1e-7);  // 1e-7: float32 distances
          if (tolerance < 1e-8) continue;
          options.n_threads = 2;
          const Result shared = solve(problem, options);
          CHECK(shared.f == result.f && shared.g == result.g && shared.report.cost == result.report.cost);
          options.n_threads = 1;
          Result warm = result;
          warm.report = sinkhorn(problem, options, warm.f, warm.g, warm.history);
          CHECK(warm.report.converged && warm.report.n_iterations <= 2);
        }
    }
}

CASE(steps_that_fail_do_not_go_on_failing) {
  // With accelerated steps that may only double the error, and no pause after them, this one ran in circles.
  const std::vector<double> a = {9.9943551e-01, 5.6489e-04}, b = {1.17585392e-03, 4.71811643e-07, 9.98823674392e-01};
  const std::vector<double> cost = {43.37245017, 20.37500132, 19.97739187, 2.68140802, 7.51658326, 11.33865928};
  SinkhornProblem problem{a, b, StoredCost<double>{cost.data(), 2, 3}, 1};
  SinkhornOptions options;
  options.max_iterations = 400;
  CHECK(solve(problem, options).report.converged);
}

/// x <- x - g(x) with g pushing hard one way and hardly the other: extrapolated steps overshoot without limit.
CASE(acceleration_goes_no_farther_than_it_may) {
  const std::vector<double> weights(2, 1.0);
  Anderson anderson(5, weights);
  std::vector<double> x = {10, -3};
  for (int step = 0; step < 30; ++step) {
    std::vector<double> image = {x[0] - std::tanh(x[0] - 200) * .01 - .3 * (step % 2), x[1] * .999};
    anderson.step(x, image, 2.0);
    CHECK(std::abs(x[0] - image[0]) <= 2.0 + 1e-12 && std::abs(x[1] - image[1]) <= 2.0 + 1e-12);
  }
}

CASE(anderson_solves_linear_problems) {
  // x <- M x + c with eigenvalues up to 0.999: plain iterations need thousands of steps.
  const std::size_t n = 6;
  const std::vector<double> weights(n, 1.0), rates = {.999, .99, .9, .5, .2, -.5};
  Anderson anderson(10, weights);
  std::vector<double> x(n), image(n);
  for (int step = 0; step < 25; ++step) {
    for (std::size_t j = 0; j < n; ++j) image[j] = rates[j] * x[j] + 1;
    anderson.step(x, image, 1e9);
  }
  for (std::size_t j = 0; j < n; ++j) CHECK(close(x[j], 1 / (1 - rates[j]), 1e-6));
}

CASE(extremes_are_finite) {
  const std::size_t n = 40;
  for (const double size : {1e-300, 1e-3, 1e300})
    for (const double relative : {1e-6, 1e-3, 1.0, 1e6})
      for (const double offset : {0.0, 1e8}) {
        if (offset > 0 && size != 1e-3) continue;
        std::vector<double> cost = uniform<double>(n * n, 0, size);
        for (double& c : cost) c += offset;
        const std::vector<double> weights(n, 1.0 / static_cast<double>(n));
        SinkhornProblem problem{weights, weights, StoredCost<double>{cost.data(), n, n}, relative * size};
        SinkhornOptions options;
        options.max_iterations = 300;
        const Result result = solve(problem, options);
        CHECK(std::isfinite(result.report.cost) && std::isfinite(result.report.regularised_cost));
        CHECK(result.report.marginal_error <= 2 + 1e-9);
        for (const double v : result.f) CHECK(std::isfinite(v));
        for (const double v : result.g) CHECK(std::isfinite(v));
        if (relative >= 1) CHECK(result.report.converged);
      }
}

}  // namespace
