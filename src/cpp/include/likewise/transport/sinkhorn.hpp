// Entropic optimal transport: P = a b exp((f + g - C) / epsilon) with given marginals, by Sinkhorn's iteration
// (Cuturi 2013) on the potentials f and g, accelerated; balanced or unbalanced (Chizat et al. 2018).
#pragma once
#include <cstddef>
#include <limits>
#include <string>

#include "likewise/error.hpp"
#include "likewise/span.hpp"
#include "likewise/transport/ground_cost.hpp"

namespace likewise::transport {

enum class SinkhornMethod { automatic, log, kernel, sparse };

/// min <P, C> + epsilon KL(P | a b^T) + rho_a KL(P 1 | a) + rho_b KL(P^T 1 | b); an infinite rho is a constraint.
struct SinkhornProblem {
  span<const double> a, b;  // weights >= 0; of equal mass where both sides are constraints
  Cost cost;                // finite
  double epsilon = 1;       // in units of the cost
  double rho_a = std::numeric_limits<double>::infinity();
  double rho_b = std::numeric_limits<double>::infinity();
};

struct SinkhornOptions {
  double tolerance = 1e-6;  // of the marginal error
  std::size_t max_iterations = 10'000;
  SinkhornMethod method = SinkhornMethod::automatic;
  std::size_t anderson = 10;  // steps remembered; 0: plain iterations
  unsigned n_threads = 1;
};

struct SinkhornReport {
  std::size_t n_iterations = 0;
  bool converged = false;
  SinkhornMethod method = SinkhornMethod::log;  // what the last iterations used
  /// |P 1 - a|_1 + |P^T 1 - b|_1 over the mass of a, from the final f and g, in float64. Where a side is not a
  /// constraint, a exp(-f / rho_a) stands for a: what the optimum's marginal is.
  double marginal_error = 0;
  double cost = 0;              // <P, C>
  double regularised_cost = 0;  // the minimised sum
  double mass = 0;              // sum P
};

/// Solves from the potentials in f (n) and g (m), in units of the cost; zeros: from the start. They are replaced by the
/// result, with <a, f> = <b, g> where both sides are constraints, and finite also where a weight is 0. `history` takes
/// the marginal error met in each iteration and the final one: up to max_iterations + 1 numbers.
/// The same bits for any number of threads.
SinkhornReport sinkhorn(const SinkhornProblem& problem, const SinkhornOptions& options, span<double> f, span<double> g,
                        span<double> history);

/// Of the cost under the weights a_i b_j / (sum a sum b), for the scale of epsilon.
struct CostStatistics {
  double mean = 0, deviation = 0, largest = 0, smallest = 0;
};
CostStatistics cost_statistics(span<const double> a, span<const double> b, const Cost& cost, unsigned n_threads);

/// A plan that is never stored: P_ij = a_i b_j exp((f_i + g_j - C_ij) / epsilon).
struct Plan {
  span<const double> a, b, f, g;
  Cost cost;
  double epsilon = 1;
};
/// Rows first ... first + count - 1 of P.
template <class T>
void plan_rows(const Plan& plan, std::size_t first, std::size_t count, T* out, unsigned n_threads);
/// out (n, r) = P v with v (m, r); transposed: out (m, r) = P^T v with v (n, r).
void plan_product(const Plan& plan, const double* v, std::size_t r, bool transposed, double* out, unsigned n_threads);
/// out_j = min over i of C_ij - f_i; transposed: out_i = min over j of C_ij - g_j.
void least_slack(const Cost& cost, span<const double> potential, bool transposed, double* out, unsigned n_threads);
/// out (n, d): sum_j P_ij dC_ij / dx_i, for a cost from points.
void point_gradient(const Plan& plan, double* out, unsigned n_threads);

}  // namespace likewise::transport
