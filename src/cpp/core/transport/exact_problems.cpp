#include <algorithm>
#include <numeric>
#include <string>

#include "core/thread_pool.hpp"
#include "likewise/transport/exact.hpp"

namespace likewise::transport {
namespace {

constexpr std::int64_t kMostSide = std::int64_t{1} << 30;

struct Place {
  std::size_t n, m, row, column, cell;  // sizes, and where the problem's rows, columns and costs begin
};

template <class T>
std::vector<Place> places(const ExactProblems<T>& problems) {
  if (problems.n_rows.size != problems.n_columns.size)
    throw value_error("n_columns: expected " + std::to_string(problems.n_rows.size) + " sizes, got " +
                      std::to_string(problems.n_columns.size));
  std::vector<Place> found;
  found.reserve(problems.n_rows.size);
  std::size_t row = 0, column = 0, cell = 0;
  for (std::size_t k = 0; k < problems.n_rows.size; ++k) {
    const std::int64_t n = problems.n_rows[k], m = problems.n_columns[k];
    if (n < 1 || n > kMostSide || m < 1 || m > kMostSide)
      throw value_error("n_rows: expected from 1 to 2^30 rows and columns, got " + std::to_string(n) + " and " +
                        std::to_string(m) + " at position " + std::to_string(k));
    const Place place{static_cast<std::size_t>(n), static_cast<std::size_t>(m), row, column, cell};
    if (place.n > problems.a.size - row || place.m > problems.b.size - column ||
        place.n * place.m > problems.cost.size - cell)
      throw value_error("cost: expected as many weights and costs as the sizes say, got too few at problem " +
                        std::to_string(k));
    found.push_back(place);
    row += place.n;
    column += place.m;
    cell += place.n * place.m;
  }
  if (row != problems.a.size || column != problems.b.size || cell != problems.cost.size)
    throw value_error("cost: expected as many weights and costs as the sizes say, got more");
  return found;
}

template <class T>
void solve_one(NetworkSimplex& solver, const ExactProblems<T>& problems, const Place& at, std::size_t k,
               const ExactResults& results, std::uint64_t max_iter) {
  const span<const double> a(problems.a.data + at.row, at.n), b(problems.b.data + at.column, at.m);
  const T* cost = problems.cost.data + at.cell;
  const ExactReport report = solver.solve(a, b, cost, max_iter);
  double *u = results.u + at.row, *v = results.v + at.column;
  solver.duals(cost, u, v);
  const double left = std::inner_product(a.begin(), a.end(), u, 0.0);
  const double right = std::inner_product(b.begin(), b.end(), v, 0.0);
  const double shift = (right - left) / (2 * std::accumulate(a.begin(), a.end(), 0.0));
  for (std::size_t i = 0; i < at.n; ++i) u[i] += shift;
  for (std::size_t j = 0; j < at.m; ++j) v[j] -= shift;
  results.cost[k] = report.cost;
  results.gap[k] = report.cost - (left + right);
  results.n_iter[k] = static_cast<std::int64_t>(report.n_iter);
  results.optimal[k] = report.optimal;
  const std::vector<PlanEntry> plan = solver.plan();
  results.n_entries[k] = static_cast<std::int64_t>(plan.size());
  std::fill_n(results.row_entries + at.row, at.n, 0);
  for (std::size_t e = 0; e < plan.size(); ++e) {
    const std::size_t to = at.row + at.column + e;
    ++results.row_entries[at.row + plan[e].row];
    results.columns[to] = plan[e].column;
    results.masses[to] = plan[e].mass;
  }
}

}  // namespace

template <class T>
void solve_exactly(const ExactProblems<T>& problems, const ExactResults& results, std::uint64_t max_iter,
                   unsigned n_threads) {
  const std::vector<Place> all = places(problems);
  // Of some 50 us of work or more, and enough of them that a long one at the end keeps few threads waiting.
  const std::size_t n_pieces =
      std::max<std::size_t>(1, std::min({all.size(), problems.cost.size / 2048, std::size_t{16} * n_threads}));
  parallel_for(n_pieces, n_threads, [&](std::size_t piece) {
    NetworkSimplex solver;
    for (std::size_t k = all.size() * piece / n_pieces; k < all.size() * (piece + 1) / n_pieces; ++k)
      solve_one(solver, problems, all[k], k, results, max_iter);
  });
}

template void solve_exactly(const ExactProblems<float>&, const ExactResults&, std::uint64_t, unsigned);
template void solve_exactly(const ExactProblems<double>&, const ExactResults&, std::uint64_t, unsigned);

}  // namespace likewise::transport
