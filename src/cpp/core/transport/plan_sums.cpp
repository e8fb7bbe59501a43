#include "likewise/transport/plan_sums.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/transport/cost_rows.hpp"
#include "core/transport/plan_rows.hpp"

namespace likewise::transport {

PlanSums plan_sums(const Plan& plan, span<const double> alpha, span<const double> beta, span<const double> left,
                   span<const double> right, double* row_sums, double* column_sums, unsigned n_threads) {
  const kernels::SinkhornKernels& kernel = kernel_table().sinkhorn;
  const PlanRows plan_rows_of(plan);
  const std::size_t n = plan.a.size, m = plan.b.size, n_pieces = Pieces(n, m).n;
  std::vector<double> inverse(m);  // of b; 0 where there is no weight, and so no mass
  for (std::size_t j = 0; j < m; ++j) inverse[j] = plan.b[j] > 0 ? 1 / plan.b[j] : 0;
  std::vector<double> columns(n_pieces * m), costs(n), sizes(n), entropies(n);
  for_pieces(plan.cost, n_threads, [&](std::size_t piece, std::size_t begin, std::size_t end, auto& rows) {
    std::vector<double> q(m), ratios(m);
    for (std::size_t i = begin; i < end; ++i) {
      if (i % 16 == 0) poll_interrupt();
      plan_rows_of.read(i, rows, q.data());
      const auto* cost = rows.row(i);
      const double per_a = plan.a[i] > 0 ? 1 / plan.a[i] : 0;
      double mass = 0, transported = 0, size = 0;
      for (std::size_t j = 0; j < m; ++j) {
        q[j] = alpha[i] * q[j] * beta[j] + left[i] * right[j];
        const double c = static_cast<double>(cost[j]);
        mass += q[j];
        transported += q[j] * c;
        size += q[j] * std::abs(c);
        // What is too small for a logarithm has none that counts.
        ratios[j] = std::max(q[j] * per_a * inverse[j], std::numeric_limits<double>::min());
      }
      kernel.logarithms(ratios.data(), m, ratios.data());
      kernel.add_multiple(q.data(), 1.0, m, columns.data() + piece * m);
      row_sums[i] = mass;
      costs[i] = transported;
      sizes[i] = size;
      entropies[i] = kernel.dot(q.data(), ratios.data(), m);
    }
  });
  PlanSums sums;
  for (std::size_t i = 0; i < n; ++i) {
    sums.mass += row_sums[i];
    sums.cost += costs[i];
    sums.size += sizes[i];
    sums.entropy += entropies[i];
  }
  std::copy_n(columns.begin(), m, column_sums);
  for (std::size_t p = m; p < columns.size(); p += m) kernel.add_multiple(columns.data() + p, 1.0, m, column_sums);
  return sums;
}

}  // namespace likewise::transport
