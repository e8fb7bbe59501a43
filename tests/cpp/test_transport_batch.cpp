// Small transport problems in lanes: the kernels of every CPU level against plain loops, and the acceleration's safeguard.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/dispatch.hpp"
#include "kernels/table.hpp"
#include "likewise/transport/sinkhorn_batch.hpp"

namespace {

using likewise::kernels::BatchKernels;
using likewise::kernels::kLanes;
using likewise::kernels::LaneState;

std::mt19937_64 random_bits(20261125);

std::vector<const BatchKernels*> levels() {
  std::vector<const BatchKernels*> found;
  const std::vector<std::string> available = likewise::level_report().available;
#define LIKEWISE_ADD(level)                                                    \
  if (std::find(available.begin(), available.end(), #level) != available.end()) \
    found.push_back(&likewise::kernels::level::batch_kernels);
  LIKEWISE_LEVELS(LIKEWISE_ADD)
#undef LIKEWISE_ADD
  return found;
}

template <class T>
const auto& of(const BatchKernels& table) {
  if constexpr (sizeof(T) == 4) {
    return table.f32;
  } else {
    return table.f64;
  }
}

bool close(double a, double b, double relative) { return std::abs(a - b) <= relative * (std::abs(a) + std::abs(b)); }

template <class T>
std::vector<T> uniform(std::size_t n) {
  std::vector<T> values(n);
  for (T& v : values) v = static_cast<T>(std::uniform_real_distribution<double>(0.1, 1)(random_bits));
  return values;
}

template <class T>
void check_iterations(const BatchKernels& table, std::size_t n, std::size_t m) {
  constexpr std::size_t w = kLanes<T>;
  const double tolerance = sizeof(T) == 4 ? 1e-5 : 1e-13;
  const std::size_t stride = m + 2;
  const std::vector<T> kernel = uniform<T>(n * stride * w), a = uniform<T>(n * w), b = uniform<T>(m * w);
  std::vector<T> u(n * w), v(m * w, T{1}), image(m * w, T{1}), error(w), largest(w), threshold(w, T{-1}),
      bound(w, std::numeric_limits<T>::infinity());
  LaneState<T> state{};
  state.n = n;
  state.m = m;
  state.stride = stride;
  state.kernel = kernel.data();
  state.a = a.data();
  state.b = b.data();
  state.u = u.data();
  state.v = v.data();
  state.image = image.data();
  state.error = error.data();
  state.largest = largest.data();
  state.threshold = threshold.data();
  state.bound = bound.data();
  state.limit = T(1e30);  // masses differ: scalings grow from step to step
  state.has_image = true;
  state.active = (1u << w) - 1;
  std::size_t done = 0;
  CHECK(of<T>(table).run(state, 3, &done) == 0);
  CHECK(done == 3);
  for (std::size_t lane = 0; lane < w; ++lane) {
    std::vector<double> x(n), y(m, 1.0), next(m, 1.0);
    double away = 0;
    for (int i = 0; i < 3; ++i) {
      y = next;
      std::vector<double> sums(m);
      for (std::size_t r = 0; r < n; ++r) {
        double sum = 0;
        for (std::size_t j = 0; j < m; ++j) sum += static_cast<double>(kernel[(r * stride + j) * w + lane]) * y[j];
        x[r] = static_cast<double>(a[r * w + lane]) / sum;
        for (std::size_t j = 0; j < m; ++j) sums[j] += static_cast<double>(kernel[(r * stride + j) * w + lane]) * x[r];
      }
      away = 0;
      for (std::size_t j = 0; j < m; ++j) {
        away += std::abs(y[j] * sums[j] - static_cast<double>(b[j * w + lane]));
        next[j] = static_cast<double>(b[j * w + lane]) / sums[j];
      }
    }
    for (std::size_t r = 0; r < n; ++r) CHECK(close(static_cast<double>(state.u[r * w + lane]), x[r], tolerance));
    for (std::size_t j = 0; j < m; ++j) CHECK(close(static_cast<double>(state.image[j * w + lane]), next[j], tolerance));
    CHECK(std::abs(static_cast<double>(error[lane]) - away) <= tolerance * static_cast<double>(m));
  }
  // One lane's mark is crossed: it alone is reported, unless nobody works there.
  threshold[3] = T(1e6);
  CHECK(of<T>(table).run(state, 5, &done) == 8);
  CHECK(done == 1);
  state.active &= ~8u;
  CHECK(of<T>(table).run(state, 5, &done) == 0);
  bound[1] = T(-1);
  CHECK(of<T>(table).run(state, 5, &done) == 2);
}

template <class C>
void check_small(const BatchKernels& table, std::size_t n, std::size_t m) {
  const auto& small = [&]() -> const auto& {
    if constexpr (sizeof(C) == 4) {
      return table.small32;
    } else {
      return table.small64;
    }
  }();
  const std::vector<C> cost = uniform<C>(n * m);
  const std::vector<double> a = uniform<double>(n), b = uniform<double>(m), u = uniform<double>(n),
                            v = uniform<double>(m);
  double lowest = 0, highest = 0;
  small.range(cost.data(), n * m, &lowest, &highest);
  CHECK(lowest == static_cast<double>(*std::min_element(cost.begin(), cost.end())));
  CHECK(highest == static_cast<double>(*std::max_element(cost.begin(), cost.end())));
  std::vector<double> e(n * m), rows(n), columns(m), row_sums(n), column_sums(m);
  small.fill(cost.data(), 0.25, 3.0, n, m, a.data(), b.data(), e.data());
  const double total = small.measure(e.data(), cost.data(), 0.25, n, m, u.data(), v.data(), rows.data(), columns.data());
  double expected = 0;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < m; ++j) {
      const double c = static_cast<double>(cost[i * m + j]);
      CHECK(close(e[i * m + j], a[i] * b[j] * std::exp(-3 * (c - 0.25)), 1e-14));
      const double p = u[i] * e[i * m + j] * v[j];
      row_sums[i] += p;
      column_sums[j] += p;
      expected += p * (c - 0.25);
    }
  CHECK(std::abs(total - expected) <= 1e-12 * static_cast<double>(n * m));
  for (std::size_t i = 0; i < n; ++i) CHECK(close(rows[i], row_sums[i], 1e-13));
  for (std::size_t j = 0; j < m; ++j) CHECK(close(columns[j], column_sums[j], 1e-13));

  std::vector<double> own = u, potential = v;
  own[0] = -600;  // far below what others see as nothing
  own[n - 1] = -1e300;
  small.absorb(cost.data(), 0.25, 3.0, n, m, own.data(), potential.data(), e.data());
  for (std::size_t k = 0; k < n * m; ++k)
    CHECK(close(e[k], std::exp(own[k / m] + potential[k % m] - 3 * (static_cast<double>(cost[k]) - 0.25)), 1e-12));
}

template <class T>
void check_scatter(const BatchKernels& table, std::size_t n, std::size_t m) {
  constexpr std::size_t w = kLanes<T>;
  std::vector<double> e = uniform<double>(n * m);
  e[0] = 1e-310;  // below what either type holds as a normal number
  std::vector<T> kernel(n * (m + 1) * w, T{7});
  of<T>(table).scatter(e.data(), n, m, m + 1, kernel.data() + 5);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j <= m; ++j)
      for (std::size_t lane = 0; lane < w; ++lane) {
        const T expected = lane != 5 || j == m ? T{7} : i + j == 0 ? T{0} : static_cast<T>(e[i * m + j]);
        CHECK(kernel[(i * (m + 1) + j) * w + lane] == expected);
      }
}

}  // namespace

CASE(iterations_match_the_plain_loop_at_every_level) {
  for (const BatchKernels* table : levels())
    for (const std::size_t n : {1, 2, 5, 13, 20})
      for (const std::size_t m : {1, 3, 8, 21}) {
        check_iterations<float>(*table, n, m);
        check_iterations<double>(*table, n, m);
      }
}

CASE(fill_range_and_measure_match_the_plain_loop_at_every_level) {
  for (const BatchKernels* table : levels())
    for (const std::size_t n : {1, 4, 17})
      for (std::size_t m = 1; m < 36; ++m) {
        check_small<float>(*table, n, m);
        check_small<double>(*table, n, m);
        check_scatter<float>(*table, n, m);
        check_scatter<double>(*table, n, m);
      }
}

CASE(problems_of_all_sizes_converge_and_do_not_disturb_one_another) {
  using namespace likewise::transport;
  std::vector<std::vector<double>> costs, a, b;
  std::vector<SinkhornProblem> problems;
  std::vector<std::size_t> rows, columns;
  for (std::size_t k = 0; k < 90; ++k) {
    const std::size_t n = 2 + random_bits() % 30, m = 2 + random_bits() % 30;
    costs.push_back(uniform<double>(n * m));
    for (double& c : costs.back()) c *= 1 + static_cast<double>(k % 7) * 8;  // some leave the range of float32
    a.emplace_back(n, 1 / static_cast<double>(n));
    b.emplace_back(m, 1 / static_cast<double>(m));
  }
  std::size_t n_rows = 0, n_columns = 0;
  for (std::size_t k = 0; k < costs.size(); ++k) {
    rows.push_back(n_rows);
    columns.push_back(n_columns);
    n_rows += a[k].size();
    n_columns += b[k].size();
    problems.push_back({a[k], b[k], StoredCost<double>{costs[k].data(), a[k].size(), b[k].size()}, 0.2});
  }
  for (const double tolerance : {1e-6, 1e-11}) {
    SinkhornOptions options;
    options.tolerance = tolerance;
    std::vector<double> f(n_rows), g(n_columns);
    const std::vector<SinkhornReport> reports = sinkhorn_batch(problems, options, f, g);
    for (const SinkhornReport& report : reports) CHECK(report.converged && report.marginal_error <= tolerance);
    for (const std::size_t k : {std::size_t{0}, std::size_t{41}, std::size_t{89}}) {
      std::vector<double> own_f(a[k].size()), own_g(b[k].size());
      const std::vector<SinkhornReport> own = sinkhorn_batch({&problems[k], 1}, options, own_f, own_g);
      CHECK(own[0].n_iterations == reports[k].n_iterations && own[0].cost == reports[k].cost);
      CHECK(std::equal(own_f.begin(), own_f.end(), f.begin() + static_cast<std::ptrdiff_t>(rows[k])));
      CHECK(std::equal(own_g.begin(), own_g.end(), g.begin() + static_cast<std::ptrdiff_t>(columns[k])));
    }
  }
}
