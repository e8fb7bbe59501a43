#include "likewise/transport/sinkhorn.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

#include "core/thread_pool.hpp"
#include "core/transport/anderson.hpp"
#include "core/transport/pairs.hpp"

namespace likewise::transport {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kStepOfEpsilon = 4;      // epsilon falls by this factor from stage to stage
constexpr double kStageTolerance = 1e-2;  // of the stages before the last
constexpr double kGrowth = 2;             // an accelerated step may let the error grow by this factor

class Solver {
 public:
  Solver(const SinkhornProblem& problem, const SinkhornOptions& options, span<double> history)
      : problem_(problem),
        options_(options),
        history_(history),
        pairs_(problem, options.n_threads),
        phi_(problem.a.size),
        gamma_(problem.b.size),
        image_(problem.b.size),
        plain_image_(options.anderson > 0 ? problem.b.size : 0) {
    if (options.anderson > 0) anderson_ = std::make_unique<Anderson>(options.anderson, problem.b);
  }

  SinkhornReport run(span<double> f, span<double> g) {
    const bool cold = is_zero(f) && is_zero(g);
    pairs_.set_epsilon(problem_.epsilon);
    pairs_.from_potentials(f, g, phi_, gamma_);
    bool met = false;
    if (options_.max_iterations > 0) {
      const bool constrained = std::isinf(problem_.rho_a) && std::isinf(problem_.rho_b);
      if (constrained && std::min(phi_.size(), gamma_.size()) == 1) {  // there is one plan
        history_[n_iterations_++] = pairs_.pass(gamma_, phi_, image_);
        gamma_.swap(image_);
      } else {
        if (cold && anderson_) descend();
        met = iterate(options_.tolerance);
        // Where the iterations ran out, gamma may be extrapolated, or of another epsilon.
        if (!met) pairs_.project(phi_, gamma_);
      }
    }
    pairs_.complete(phi_, gamma_);
    SinkhornReport report = pairs_.evaluate(phi_, gamma_, f, g);
    // The error met in the loop and the verified one may lie on two sides of the tolerance.
    for (double asked = options_.tolerance; met && !(report.marginal_error <= options_.tolerance) && asked > 1e-16;) {
      asked = std::min(asked, report.marginal_error) / 2;
      met = iterate(asked);
      pairs_.complete(phi_, gamma_);
      report = pairs_.evaluate(phi_, gamma_, f, g);
    }
    report.n_iterations = n_iterations_;
    report.converged = report.marginal_error <= options_.tolerance;
    if (n_iterations_ < history_.size) history_[n_iterations_] = report.marginal_error;
    return report;
  }

 private:
  static bool is_zero(span<const double> values) {
    return std::all_of(values.begin(), values.end(), [](double v) { return v == 0; });
  }

  /// From a large epsilon down to the one asked for: each stage starts where the one before ended.
  void descend() {
    double epsilon = problem_.epsilon;
    while (epsilon < pairs_.spread() / kStepOfEpsilon) epsilon *= kStepOfEpsilon;
    for (; epsilon > problem_.epsilon * 1.5; epsilon /= kStepOfEpsilon) {
      pairs_.rescale(epsilon, phi_, gamma_);
      iterate(std::max(kStageTolerance, options_.tolerance));
    }
    pairs_.rescale(problem_.epsilon, phi_, gamma_);
  }

  /// Iterates at the present epsilon. Returns whether the tolerance was met before the iterations ran out.
  bool iterate(double tolerance) {
    if (anderson_) anderson_->restart();
    bool accelerated = false;
    double last_error = kInfinity;
    while (n_iterations_ < options_.max_iterations) {
      poll_interrupt();
      const double error = pairs_.pass(gamma_, phi_, image_);
      history_[n_iterations_++] = error;
      if (error <= tolerance) {
        gamma_.swap(image_);
        return true;
      }
      if (!anderson_) {
        gamma_.swap(image_);
      } else if (accelerated && !(error <= kGrowth * last_error)) {
        gamma_ = plain_image_;
        anderson_->restart();
        accelerated = false;
      } else {
        last_error = error;
        plain_image_ = image_;
        anderson_->step(gamma_, image_);
        accelerated = true;
      }
    }
    if (anderson_) gamma_ = accelerated ? plain_image_ : gamma_;
    return false;
  }

  const SinkhornProblem& problem_;
  const SinkhornOptions& options_;
  const span<double> history_;
  Pairs pairs_;
  std::vector<double> phi_, gamma_, image_, plain_image_;
  std::unique_ptr<Anderson> anderson_;
  std::size_t n_iterations_ = 0;
};

}  // namespace

SinkhornReport sinkhorn(const SinkhornProblem& problem, const SinkhornOptions& options, span<double> f, span<double> g,
                        span<double> history) {
  return Solver(problem, options, history).run(f, g);
}

}  // namespace likewise::transport
