// What iterations beside Sinkhorn's own and certificates are made of: soft minima of the cost, its mean, sums over a
// plan.
#pragma once
#include "likewise/transport/sinkhorn.hpp"

namespace likewise::transport {

/// out_i = -epsilon log sum_j exp((potential_j - C_ij) / epsilon); transposed: the same of each column, from a
/// potential of the rows. Minus infinity stands for a point that does not count; one at least must count.
void soft_min(const Cost& cost, span<const double> potential, double epsilon, bool transposed, double* out,
              unsigned n_threads);

/// a^T C b over the masses of a and b. O((n + m) d) time for squared distances and cosines of points.
double mean_cost(span<const double> a, span<const double> b, const Cost& cost, unsigned n_threads);

/// Of Q_ij = alpha_i P_ij beta_j + left_i right_j, a plan of smaller rows and columns with what they then lack.
struct PlanSums {
  double mass = 0;     // sum Q
  double cost = 0;     // <Q, C>
  double size = 0;     // <Q, |C|>
  double entropy = 0;  // sum Q log(Q / (a b)), 0 log 0 = 0; left_i and right_j are 0 where a_i and b_j are
};
/// rows (n) and columns (m) take the sums of Q. The same bits for any number of threads.
PlanSums plan_sums(const Plan& plan, span<const double> alpha, span<const double> beta, span<const double> left,
                   span<const double> right, double* rows, double* columns, unsigned n_threads);

}  // namespace likewise::transport
