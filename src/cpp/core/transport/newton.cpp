#include "core/transport/newton.hpp"

#include <algorithm>
#include <cmath>

#include "core/transport/cholesky.hpp"

namespace likewise::transport {
namespace {

constexpr double kRidge = 1e-13;      // of the normalised curvature: float64 knows no more of it
constexpr double kIsolated = 1e-100;  // the curvature, per mass, of a column that shares no row with another
constexpr double kSlack = 30;         // how much farther than by the costs' spread potentials may have to go

}  // namespace

Newton::Newton(Pairs& pairs) : pairs_(pairs), curvature_(pairs.problem().b.size * pairs.problem().b.size) {}

double Newton::gradient(std::size_t j, double gamma, double image) const {
  return pairs_.problem().b[j] * -std::expm1(gamma - image);
}

double Newton::slope(const std::vector<double>& gamma, const std::vector<double>& image,
                     const std::vector<double>& step) const {
  double sum = 0;
  for (std::size_t j = 0; j < gamma.size(); ++j) sum += gradient(j, gamma[j], image[j]) * step[j];
  return sum;
}

void Newton::find_step(const std::vector<double>& gamma, const std::vector<double>& phi,
                       const std::vector<double>& image, std::vector<double>& step) {
  const std::size_t m = gamma.size();
  pairs_.overlaps(gamma, phi, curvature_);
  // The curvature is diag(q) less the overlaps, whose rows sum to q: the diagonal from the others, without cancellation.
  std::fill(step.begin(), step.end(), 0.0);
  for (std::size_t j = 0; j < m; ++j)
    for (std::size_t k = 0; k < j; ++k) {
      const double overlap = curvature_[j * m + k];
      curvature_[j * m + k] = -overlap;
      step[j] += overlap;
      step[k] += overlap;
    }
  for (std::size_t j = 0; j < m; ++j) {
    const double b = pairs_.problem().b[j];
    curvature_[j * m + j] = b > 0 ? std::max(step[j], kIsolated * b) : 0;
    step[j] = b > 0 ? gradient(j, gamma[j], image[j]) : 0;
  }
  solve_scaled(curvature_, m, m, kRidge, step.data());
  double lowest = step[0], highest = step[0];
  for (const double v : step) {
    lowest = std::min(lowest, v);
    highest = std::max(highest, v);
  }
  // No change of all together changes the plan.
  const double most = pairs_.spread() / pairs_.epsilon() + kSlack, middle = lowest / 2 + highest / 2;
  const double shrink = std::min(1.0, most / std::max(highest - middle, 1e-300));
  for (double& v : step) v = (v - middle) * shrink;
}

}  // namespace likewise::transport
