// Passes over all pairs of a transport problem. Potentials are in units of epsilon, phi for f and gamma for g: the
// exponent of a pair is phi_i + gamma_j - (C_ij - shift) / epsilon, where the shift takes a large offset of the costs
// away.
#pragma once
#include <vector>

#include "core/transport/expanded_squares.hpp"
#include "kernels/table.hpp"
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
  /// About the mean of the costs above the smallest one.
  double typical() const { return typical_; }

  /// The share of pairs whose exponent is above `cut` once their row is normalised, from a few rows.
  double density(const std::vector<double>& gamma, double cut);

  /// One full iteration: phi from gamma, then image from phi. `phi` holds a guess before. Returns the marginal error of
  /// phi and gamma, met on the way.
  double pass(const std::vector<double>& gamma, std::vector<double>& phi, std::vector<double>& image);

  /// gamma from phi, without any use of what it was.
  void project(const std::vector<double>& phi, std::vector<double>& gamma) { column_potentials(phi, gamma); }

  /// `pass` with float32 exponentials, twice as fast; `kernel`, if not null, takes exp(phi_i + gamma_j + log b_j - ...)
  /// of the guess, rows of `stride()` numbers. The row potentials it was made with are `phi` before, the sums of its
  /// rows go to `row_sums`. Infinity, and nothing of use, where a sum is out of float32's range.
  double float_pass(const std::vector<double>& gamma, std::vector<double>& phi, std::vector<double>& image,
                    float* kernel, std::vector<double>& row_sums);

  /// From the sums of K^T w: the image and the error; infinity where a column's sum is out of range.
  double finish_columns(const std::vector<double>& sums, const std::vector<double>& gamma,
                        std::vector<double>& image) const;
  /// The row's fresh potential, and the factor by which its exponentials enter the columns, from their sum.
  double fresh_potential(double phi, double sum) const;
  float row_factor(std::size_t i, double phi, double sum) const;
  /// gamma + log b, as the passes take it: nothing where b is too small for float32.
  const std::vector<double>& potential_of(const std::vector<double>& gamma);

  const SinkhornProblem& problem() const { return problem_; }
  double shift() const { return shift_; }
  double scale() const { return scale_; }
  double epsilon() const { return epsilon_; }
  unsigned n_threads() const { return n_threads_; }
  std::size_t stride() const { return padded(problem_.b.size); }
  static std::size_t padded(std::size_t m) { return (m + kernels::kPad - 1) / kernels::kPad * kernels::kPad; }

  /// out_jk = sum_i a_i p_ij p_ik for k <= j, rows of m numbers: p_i is row i of the plan that `pass` has given phi for,
  /// as shares of its sum.
  void overlaps(const std::vector<double>& gamma, const std::vector<double>& phi, std::vector<double>& out);

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
  double shift_ = 0, epsilon_ = 1, scale_ = 1, factor_a_ = 1, factor_b_ = 1, spread_ = 0, typical_ = 0;
  std::vector<double> log_b_, potential_, columns_, partial_;
  ExpandedSquares squares_;
};

}  // namespace likewise::transport
