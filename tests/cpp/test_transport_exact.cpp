// Exact transport: the kernels at every CPU level against plain loops, equal bits; plans and potentials that prove one
// another on small problems of every kind; and what the core promises of weights, limits and threads.
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
#include "likewise/transport/exact.hpp"

namespace {

using likewise::value_error;
using likewise::kernels::ExactKernels;
using likewise::kernels::ExactTable;
using namespace likewise::transport;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
std::mt19937_64 random_bits(20261125);

std::vector<const ExactTable*> levels() {
  std::vector<const ExactTable*> found;
  const std::vector<std::string> available = likewise::level_report().available;
#define LIKEWISE_ADD(level)                                                     \
  if (std::find(available.begin(), available.end(), #level) != available.end()) \
    found.push_back(&likewise::kernels::level::exact_kernels);
  LIKEWISE_LEVELS(LIKEWISE_ADD)
#undef LIKEWISE_ADD
  return found;
}

template <class T>
const ExactKernels<T>& of(const ExactTable& table) {
  if constexpr (sizeof(T) == 4) {
    return table.f32;
  } else {
    return table.f64;
  }
}

std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_bits() % n); }
double normal() {
  static std::normal_distribution<double> draw;
  return draw(random_bits);
}

template <class T>
void check_kernels(const ExactTable& table) {
  for (std::size_t n = 0; n < 70; ++n) {
    std::vector<T> costs(n);
    std::vector<double> potentials(n), least(n);
    for (std::size_t j = 0; j < n; ++j) {
      costs[j] = static_cast<T>(below(3) == 0 ? 1.0 : normal());
      potentials[j] = below(5) == 0 ? -kInfinity : normal();
      least[j] = below(5) == 0 ? kInfinity : normal();
    }
    std::vector<double> differences, lowered = least;
    for (std::size_t j = 0; j < n; ++j) {
      differences.push_back(static_cast<double>(costs[j]) - potentials[j]);
      lowered[j] = std::min(lowered[j], static_cast<double>(costs[j]) - 0.25);
    }
    std::sort(differences.begin(), differences.end());
    differences.resize(n + 2, kInfinity);
    CHECK(of<T>(table).least_difference(costs.data(), potentials.data(), n) == differences[0]);
    for (const double bound : {-kInfinity, differences[0], differences[n / 2], kInfinity}) {
      std::size_t first = 0;
      while (first < n && static_cast<double>(costs[first]) - potentials[first] > bound) ++first;
      CHECK(of<T>(table).first_at_most(costs.data(), potentials.data(), n, bound) == first);
    }
    double two[2];
    const std::size_t least_at = of<T>(table).two_least_differences(costs.data(), potentials.data(), n, two);
    CHECK(two[0] == differences[0] && two[1] == differences[1]);
    if (two[0] < kInfinity)
      CHECK(least_at == of<T>(table).first_at_most(costs.data(), potentials.data(), n, two[0]));
    of<T>(table).lower_to_differences(costs.data(), 0.25, n, least.data());
    CHECK(least == lowered);
  }
}

struct Problem {
  std::vector<double> a, b, cost;
};

/// Weights that are uniform, counts, with zeros, or anything; costs of few or of all different values.
Problem some_problem(std::size_t n, std::size_t m) {
  Problem p;
  const std::size_t kind = below(4);
  const auto weights = [kind](std::size_t size) {
    std::vector<double> w(size);
    for (double& x : w) x = kind == 0 ? 1 : kind == 1 ? static_cast<double>(below(3)) : std::abs(normal());
    if (kind == 3 && size > 1) w[below(size)] = 0;
    if (kind != 0) w[below(size)] += 1;
    double sum = 0;
    for (const double x : w) sum += x;
    for (double& x : w) x /= sum;
    return w;
  };
  p.a = weights(n);
  p.b = weights(m);
  const bool few = below(2) == 0;
  for (std::size_t k = 0; k < n * m; ++k) p.cost.push_back(few ? static_cast<double>(below(4)) - 1 : normal());
  return p;
}

/// The plan has the marginals, the potentials are feasible and tight on it: both are optimal.
template <class T>
void check_optimal(const Problem& p, NetworkSimplex& solver, double relative = 1e-12) {
  const std::size_t n = p.a.size(), m = p.b.size();
  const std::vector<T> cost(p.cost.begin(), p.cost.end());
  const ExactReport report = solver.solve(p.a, p.b, cost.data());
  CHECK(report.optimal);
  double largest = 0, mass = 0, value = 0;
  for (const T c : cost) largest = std::max(largest, std::abs(static_cast<double>(c)));
  std::vector<double> u(n), v(m), rows(n), columns(m);
  solver.duals(cost.data(), u.data(), v.data());
  const std::vector<PlanEntry> plan = solver.plan();
  CHECK(plan.size() < n + m);
  const double rounding = relative * std::max(largest, 1e-300);
  for (std::size_t e = 0; e < plan.size(); ++e) {
    const PlanEntry& x = plan[e];
    CHECK(x.mass > 0);
    CHECK(e == 0 || plan[e - 1].row < x.row || (plan[e - 1].row == x.row && plan[e - 1].column < x.column));
    rows[x.row] += x.mass;
    columns[x.column] += x.mass;
    const double c = static_cast<double>(cost[x.row * m + x.column]);
    value += c * x.mass;
    CHECK(std::abs(c - u[x.row] - v[x.column]) <= rounding);
  }
  for (const double w : p.a) mass += w;
  for (std::size_t i = 0; i < n; ++i) CHECK(std::abs(rows[i] - p.a[i]) <= 1e-14 * mass);
  for (std::size_t j = 0; j < m; ++j) CHECK(std::abs(columns[j] - p.b[j]) <= 1e-14 * mass);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < m; ++j) CHECK(static_cast<double>(cost[i * m + j]) - u[i] - v[j] >= -rounding);
  CHECK(std::abs(value - report.cost) <= 1e-13 * largest * mass);
}

}  // namespace

CASE(kernels) {
  for (const ExactTable* table : levels()) {
    check_kernels<float>(*table);
    check_kernels<double>(*table);
  }
}

CASE(small_problems_are_solved_with_proof) {
  NetworkSimplex solver;  // one for all: nothing of a problem stays for the next
  for (int k = 0; k < 4000; ++k) {
    const Problem p = some_problem(1 + below(12), 1 + below(12));
    check_optimal<double>(p, solver);
    check_optimal<float>(p, solver);
  }
  for (int k = 0; k < 20; ++k) check_optimal<double>(some_problem(60 + below(80), 60 + below(80)), solver);
}

CASE(the_assignment_of_four) {
  const std::vector<double> quarter(4, 0.25), cost{4, 1, 3, 2, 2, 0, 5, 3, 3, 2, 2, 3, 1, 3, 2, 4};
  NetworkSimplex solver;
  CHECK(solver.solve(quarter, quarter, cost.data()).cost == 1.25);
  const std::uint32_t columns[] = {3, 1, 2, 0};
  const std::vector<PlanEntry> plan = solver.plan();
  CHECK(plan.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) CHECK(plan[i].row == i && plan[i].column == columns[i] && plan[i].mass == 0.25);
}

CASE(masses_that_tie_do_not_cycle) {
  // Every cost the same, or a block of them: almost every pivot is degenerate.
  NetworkSimplex solver;
  std::uint64_t degenerate = 0;
  for (int k = 0; k < 200; ++k) {
    const std::size_t n = 3 + below(8);
    Problem p{std::vector<double>(n, 1.0 / static_cast<double>(n)), {}, std::vector<double>(n * n)};
    p.b = p.a;
    for (double& c : p.cost) c = static_cast<double>(below(3));
    double before = kInfinity;
    for (std::uint64_t limit = 0;; ++limit) {  // after each pivot
      const ExactReport report = solver.solve(p.a, p.b, p.cost.data(), limit);
      CHECK(solver.strongly_feasible());
      if (report.cost == before) ++degenerate;
      before = report.cost;
      if (report.optimal) break;
    }
  }
  CHECK(degenerate > 500);
  for (const std::size_t n : {7, 30, 100}) {
    for (const std::size_t m : {7, 45, 100}) {
      const double row = 1.0 / static_cast<double>(n), column = 1.0 / static_cast<double>(m);
      Problem p{std::vector<double>(n, row), std::vector<double>(m, column), std::vector<double>(n * m, 3.0)};
      check_optimal<double>(p, solver);
      for (std::size_t k = 0; k < n * m; ++k) p.cost[k] = static_cast<double>((k / m % 3 + k % m % 3) % 3);
      check_optimal<double>(p, solver);
    }
  }
}

CASE(costs_of_any_size) {
  NetworkSimplex solver;
  for (const double scale : {1e-300, 1e-30, 1e30, 1e300}) {
    for (int k = 0; k < 100; ++k) {
      Problem p = some_problem(1 + below(9), 1 + below(9));
      for (double& c : p.cost) c *= scale;
      check_optimal<double>(p, solver);
    }
  }
  // An offset costs the small differences their digits, not the large ones their order.
  Problem p = some_problem(20, 20);
  for (double& c : p.cost) c += 1e8;
  check_optimal<double>(p, solver, 1e-14);
}

CASE(forbidden_pairs_by_a_huge_cost) {
  // The optimum avoids them; what they cost must not drown what the others do.
  NetworkSimplex solver;
  for (int k = 0; k < 3000; ++k) {
    const std::size_t n = 2 + below(15);
    Problem p{std::vector<double>(n, 1.0 / static_cast<double>(n)), {}, std::vector<double>(n * n)};
    p.b = p.a;
    for (double& c : p.cost) c = std::abs(normal());
    const double allowed = solver.solve(p.a, p.b, p.cost.data()).cost;
    std::vector<double> kept(n * n, 1e32);
    for (const PlanEntry& x : solver.plan()) kept[x.row * n + x.column] = p.cost[x.row * n + x.column];
    for (std::size_t e = 0; e < n * n; ++e)
      if (below(2) == 0) kept[e] = p.cost[e];
    CHECK(std::abs(solver.solve(p.a, p.b, kept.data()).cost - allowed) <= 1e-12);
  }
}

CASE(a_limit_on_pivots_is_kept_and_the_potentials_stay_feasible) {
  const Problem p = some_problem(60, 50);
  NetworkSimplex solver;
  const ExactReport best = solver.solve(p.a, p.b, p.cost.data());
  CHECK(best.n_iter > 10);
  double before = kInfinity;
  for (std::uint64_t limit = 0; limit < best.n_iter; limit += 7) {
    const ExactReport report = solver.solve(p.a, p.b, p.cost.data(), limit);
    CHECK(!report.optimal && report.n_iter == limit && report.cost <= before && report.cost >= best.cost);
    before = report.cost;
    std::vector<double> u(60), v(50);
    solver.duals(p.cost.data(), u.data(), v.data());
    double dual = 0;
    for (std::size_t i = 0; i < 60; ++i) dual += u[i] * p.a[i];
    for (std::size_t j = 0; j < 50; ++j) dual += v[j] * p.b[j];
    CHECK(dual <= best.cost + 1e-12);
    for (std::size_t e = 0; e < p.cost.size(); ++e) CHECK(u[e / 50] + v[e % 50] <= p.cost[e] + 1e-12);
  }
  CHECK(solver.solve(p.a, p.b, p.cost.data(), best.n_iter).optimal);
}

CASE(weights_that_are_none_are_refused) {
  const std::vector<double> cost(4, 1.0), good{0.5, 0.5};
  NetworkSimplex solver;
  for (const std::vector<double>& bad : {std::vector<double>{0.5, -0.5}, std::vector<double>{0, 0},
                                         std::vector<double>{0.5, std::nan("")}, std::vector<double>{0.5, 0.6},
                                         std::vector<double>{kInfinity, 1}, std::vector<double>{1e308, 1e308}}) {
    CHECK_THROWS(value_error, solver.solve(bad, good, cost.data()));
    CHECK_THROWS(value_error, solver.solve(good, bad, cost.data()));
  }
}

CASE(a_cost_that_is_no_number_does_no_harm) {
  NetworkSimplex solver;
  for (int k = 0; k < 300; ++k) {
    Problem p = some_problem(1 + below(9), 1 + below(9));
    for (double& c : p.cost)
      if (below(3) == 0) c = below(2) == 0 ? std::nan("") : below(2) == 0 ? kInfinity : -kInfinity;
    solver.solve(p.a, p.b, p.cost.data());
    CHECK(solver.plan().size() < p.a.size() + p.b.size());
  }
}

CASE(many_problems_on_any_number_of_threads) {
  std::vector<std::int64_t> n_rows, n_columns;
  Problem all;
  for (int k = 0; k < 60; ++k) {
    const Problem p = some_problem(1 + below(20), 1 + below(20));
    n_rows.push_back(static_cast<std::int64_t>(p.a.size()));
    n_columns.push_back(static_cast<std::int64_t>(p.b.size()));
    all.a.insert(all.a.end(), p.a.begin(), p.a.end());
    all.b.insert(all.b.end(), p.b.begin(), p.b.end());
    all.cost.insert(all.cost.end(), p.cost.begin(), p.cost.end());
  }
  std::vector<double> expected;
  for (const unsigned n_threads : {1u, 2u, 5u}) {
    const std::size_t n = n_rows.size(), entries = all.a.size() + all.b.size();
    std::vector<double> cost(n), gap(n), u(all.a.size()), v(all.b.size()), masses(entries);
    std::vector<std::int64_t> n_iter(n), n_entries(n);
    std::vector<std::uint8_t> optimal(n);
    std::vector<std::int64_t> row_entries(all.a.size()), columns(entries);
    solve_exactly<double>({n_rows, n_columns, all.a, all.b, all.cost},
                          {cost.data(), gap.data(), n_iter.data(), optimal.data(), u.data(), v.data(),
                           n_entries.data(), row_entries.data(), columns.data(), masses.data()},
                          kNoLimit, n_threads);
    for (std::size_t k = 0; k < n; ++k) CHECK(optimal[k] == 1 && std::abs(gap[k]) < 1e-12);
    std::vector<double> found = cost;
    for (const std::vector<double>* part : {&gap, &u, &v, &masses})
      found.insert(found.end(), part->begin(), part->end());
    if (expected.empty()) expected = found;
    CHECK(std::memcmp(found.data(), expected.data(), found.size() * sizeof(double)) == 0);
  }
}
