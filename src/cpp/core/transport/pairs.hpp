// Passes over all pairs of a transport problem. Potentials are in units of epsilon, phi for f and gamma for g: the
// exponent of a pair is phi_i + gamma_j - (C_ij - shift) / epsilon, where the shift takes a large offset of the costs
// away.
#pragma once
#include <vector>

#include "likewise/transport/sinkhorn.hpp"

namespace likewise::transport {

class Pairs {
 public:
  Pairs(const SinkhornProblem& problem, unsigned n_threads);

  void set_epsilon(double epsilon);
  /// Another epsilon, and the same potentials in units of the cost.
  void rescale(double epsilon, std::vector<double>& phi, std::vector<double>& gamma);
  void from_potentials(span<const double> f, span<const double> g, std::vector<double>& phi,
                       std::vector<double>& gamma) const;
  /// About the largest difference of costs, from a few rows.
  double spread() const { return spread_; }

  /// One full iteration: phi from gamma, then image from phi. `phi` holds a guess before. Returns the marginal error of
  /// phi and gamma, met on the way.
  double pass(const std::vector<double>& gamma, std::vector<double>& phi, std::vector<double>& image);

  /// gamma from phi, without any use of what it was.
  void project(const std::vector<double>& phi, std::vector<double>& gamma) { column_potentials(phi, gamma); }

  /// Where b is 0 or close to it, passes leave gamma alone: sets it there from phi.
  void complete(const std::vector<double>& phi, std::vector<double>& gamma);

  /// Moves constrained potentials to equal means, writes them in units of the cost, and measures their plan.
  SinkhornReport evaluate(std::vector<double>& phi, std::vector<double>& gamma, span<double> f, span<double> g);

 private:
  void column_potentials(const std::vector<double>& phi, std::vector<double>& image);

  const SinkhornProblem& problem_;
  const unsigned n_threads_;
  const bool constrained_;  // both marginals
  const double mass_;       // of a
  double shift_ = 0, epsilon_ = 1, scale_ = 1, factor_a_ = 1, factor_b_ = 1, spread_ = 0;
  std::vector<double> log_b_, potential_, columns_, partial_;
};

}  // namespace likewise::transport
