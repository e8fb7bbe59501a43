// Newton's method on the dual of a small problem, a concave function of gamma alone once phi follows from it: for the
// problems in which parts of the plan hardly touch one another, and fixed-point iterations crawl.
#pragma once
#include <vector>

#include "core/transport/pairs.hpp"

namespace likewise::transport {

class Newton {
 public:
  explicit Newton(Pairs& pairs);

  /// Fills `step` with the step from gamma, for which Pairs::pass has given phi and image. O(m^3 + n m^2).
  void find_step(const std::vector<double>& gamma, const std::vector<double>& phi, const std::vector<double>& image,
                 std::vector<double>& step);
  /// The derivative of the dual along `step`: it falls on the way, and is 0 at the best point.
  double slope(const std::vector<double>& gamma, const std::vector<double>& image,
               const std::vector<double>& step) const;

 private:
  /// b_j less the j-th column's sum of the plan.
  double gradient(std::size_t j, double gamma, double image) const;

  Pairs& pairs_;
  std::vector<double> curvature_;
};

}  // namespace likewise::transport
