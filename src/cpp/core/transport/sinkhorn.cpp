#include "likewise/transport/sinkhorn.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <type_traits>
#include <vector>

#include "core/thread_pool.hpp"
#include "core/transport/anderson.hpp"
#include "core/transport/cost_rows.hpp"
#include "core/transport/newton.hpp"
#include "core/transport/pairs.hpp"
#include "core/transport/scaling.hpp"

namespace likewise::transport {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Chosen by times to 1e-6 on Gaussian and clustered clouds of 100 to 4000 points, epsilon 0.1 to 0.001 of the mean cost.
constexpr double kStepOfEpsilon = 4;      // epsilon falls by this factor from stage to stage
constexpr double kRange = 20;             // the first of them keeps exponents of the costs' spread below this
constexpr double kDirectRange = 25;       // and none is needed where typical exponents stay below this
constexpr double kStageTolerance = 3e-3;  // of the stages before the last, and a share of what one of n or m points weighs:
constexpr double kStageShare = 0.1;       // a point in the wrong place is slow to move at a smaller epsilon
constexpr std::size_t kStageIterations = 500;
constexpr double kGrowth = 2;             // an accelerated step may let the error grow by this factor
constexpr double kFirstReach = 4, kLeastReach = 0.1, kMostReach = 50;  // how far an accelerated step may go
constexpr std::size_t kMostPause = 63;    // plain steps between accelerated ones that keep failing
constexpr double kFloatTolerance = 3e-7;  // what float32 kernels reach
constexpr std::size_t kPatience = 100;    // iterations without progress after which float32 is given up
constexpr std::size_t kNever = std::numeric_limits<std::size_t>::max();
constexpr std::size_t kMostNewton = 512;  // columns for which Newton's method is worth its m^3
constexpr std::size_t kBeforeNewton = 40, kNewtonSteps = 100;
constexpr double kSteep = 0.5;            // a step of Newton's method may leave this much of the slope, or, if it is a
constexpr double kOvershoot = 0.1;        // whole one, this much of the slope down
constexpr double kMargin = 6;             // potentials may move by half of it before tiles are made anew
constexpr double kCalm = 0.3;             // the error below which tiles are worth making
constexpr double kSparse = 0.12;          // the share of pairs that count below which they are
constexpr std::size_t kWorthTiles = 40'000, kWorthKernel = 256;              // pairs
constexpr std::size_t kFewCoordinates = 16, kMostDistances = std::size_t{1} << 20;  // beside a kernel of as many
constexpr std::size_t kMostOfPoints = std::size_t{3} << 20;  // numbers of a kernel of points: their memory is O(n + m)

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
    const std::size_t pairs = phi_.size() * gamma_.size(), m = gamma_.size();
    if (anderson_ && m <= kMostNewton && std::isinf(problem.rho_a) && std::isinf(problem.rho_b))
      before_newton_ = kBeforeNewton + m * m / phi_.size() / 2;
    const bool points = problem.cost.index() >= 2;
    most_stored_ = points ? kMostOfPoints : std::numeric_limits<std::size_t>::max();
    dense_fits_ = phi_.size() * pairs_.stride() <= most_stored_;
    // Plain iterations are those of the textbook: in the precision of the input.
    const bool textbook = !anderson_ && (options.method == SinkhornMethod::automatic ||
                                         options.method == SinkhornMethod::log);
    exact_only_ = pairs <= kWorthKernel || (textbook && problem.cost.index() % 2 == 1);
  }

  SinkhornReport run(span<double> f, span<double> g) {
    const bool cold = is_zero(f) && is_zero(g);
    pairs_.set_epsilon(problem_.epsilon);
    if (!cold || options_.max_iterations == 0) pairs_.from_potentials(f, g, phi_, gamma_);
    if (options_.max_iterations > 0) {
      const bool constrained = std::isinf(problem_.rho_a) && std::isinf(problem_.rho_b);
      if (constrained && std::min(phi_.size(), gamma_.size()) == 1) {  // there is one plan
        history_[n_iterations_++] = pairs_.pass(gamma_, phi_, image_);
        gamma_.swap(image_);
      } else {
        if (cold && anderson_) {
          descend();
        } else {
          iterate(options_.tolerance, 1);  // any start is welcome; at the solution this is all
          if (!met_) begin_stage(false);
        }
        if (!met_) approach();
      }
    }
    SinkhornReport report = finish(f, g);
    // The error met with float32 and the verified one may lie on two sides of the tolerance.
    for (double asked = options_.tolerance; !(report.marginal_error <= options_.tolerance) && met_ && asked > 1e-16;) {
      asked = std::min(asked, report.marginal_error) / 2;
      if (engine_ == Engine::exact || asked < options_.tolerance / 3) exact_only_ = true;
      begin_stage(false);
      iterate(asked);
      report = finish(f, g);
    }
    report.n_iterations = n_iterations_;
    report.converged = report.marginal_error <= options_.tolerance;
    report.method = engine_ == Engine::dense   ? SinkhornMethod::kernel
                    : engine_ == Engine::tiles ? SinkhornMethod::sparse
                                               : SinkhornMethod::log;
    if (n_iterations_ < history_.size) history_[n_iterations_] = report.marginal_error;
    return report;
  }

 private:
  enum class Engine { exact, stream, dense, tiles };

  static bool is_zero(span<const double> values) {
    return std::all_of(values.begin(), values.end(), [](double v) { return v == 0; });
  }

  SinkhornReport finish(span<double> f, span<double> g) {
    // Where the iterations ran out, gamma may be extrapolated, or of another epsilon.
    if (!met_ && n_iterations_ > 0) pairs_.project(phi_, gamma_);
    pairs_.complete(phi_, gamma_);
    return pairs_.evaluate(phi_, gamma_, f, g);
  }

  /// From a large epsilon down to the one asked for: each stage starts where the one before ended.
  void descend() {
    const double points = static_cast<double>(std::max(phi_.size(), gamma_.size()));
    const double stage_tolerance = std::min(kStageTolerance, kStageShare / points);
    double epsilon = problem_.epsilon;
    if (epsilon < pairs_.typical() / kDirectRange)
      while (epsilon < pairs_.spread() / kRange) epsilon *= kStepOfEpsilon;
    pairs_.rescale(epsilon, phi_, gamma_);
    begin_stage(true);
    for (; epsilon > problem_.epsilon * 1.5; epsilon /= kStepOfEpsilon) {
      iterate(std::max(stage_tolerance, options_.tolerance), kStageIterations);
      pairs_.rescale(epsilon / kStepOfEpsilon, phi_, gamma_);
      begin_stage(false);
    }
    if (epsilon != problem_.epsilon) pairs_.rescale(problem_.epsilon, phi_, gamma_);
    met_ = false;
  }

  /// The last stage: with float32 as far as it goes, then in float64.
  void approach() {
    iterate(std::max(0.9 * options_.tolerance, exact_only_ ? 0 : kFloatTolerance));
    if (met_ && !exact_only_ && options_.tolerance < kFloatTolerance) {
      exact_only_ = true;
      begin_stage(false);
      iterate(options_.tolerance);
    }
  }

  /// Chooses how the next iterations are done.
  void begin_stage(bool first) {
    built_ = false;
    if (exact_only_) {
      engine_ = Engine::exact;
    } else if (options_.method == SinkhornMethod::log) {
      engine_ = Engine::stream;
    } else if (!first && (options_.method == SinkhornMethod::sparse ||
                          (options_.method == SinkhornMethod::automatic && worth_tiles()))) {
      engine_ = Engine::tiles;
    } else {
      engine_ = dense_fits_ ? Engine::dense : Engine::stream;
    }
  }

  bool worth_tiles() {
    return phi_.size() * gamma_.size() >= kWorthTiles && pairs_.density(gamma_, cut()) < kSparse;
  }

  /// Exponents below this one are left out of the tiles: all of them together weigh less than the tolerance, even after
  /// potentials have moved by kMargin.
  double cut() const {
    return std::log(std::max(options_.tolerance, kFloatTolerance) / static_cast<double>(gamma_.size())) - kMargin;
  }

  /// One full iteration with the present engine: its marginal error.
  double iteration(double last_error) {
    double error = kInfinity;
    switch (engine_) {
      case Engine::exact:
        return pairs_.pass(gamma_, phi_, image_);
      case Engine::stream:
        error = stream();
        break;
      case Engine::dense:
        if (!dense_) dense_ = std::make_unique<DenseKernel>(pairs_);
        error = built_ ? dense_->pass(gamma_, image_) : kInfinity;
        if (error == kInfinity) {
          take_row_potentials();
          error = dense_->build(gamma_, phi_, image_);
          built_ = error < kInfinity;
        }
        break;
      case Engine::tiles:
        error = tiled(last_error);
        break;
    }
    if (error < kInfinity) return error;
    take_row_potentials();
    return pairs_.pass(gamma_, phi_, image_);
  }

  /// Kernels leave phi alone until it is asked for; after this they are to be built anew.
  void take_row_potentials() {
    if (built_) (engine_ == Engine::dense ? static_cast<Scaling&>(*dense_) : *tiles_).row_potentials(phi_);
    built_ = false;
  }

  double stream() {
    row_sums_.resize(phi_.size());
    return pairs_.float_pass(gamma_, phi_, image_, nullptr, row_sums_);
  }

  double tiled(double last_error) {
    if (!tiles_) {
      tiles_ = std::make_unique<Tiles>(pairs_);
      dense_.reset();
    }
    if (built_) {
      const double error = tiles_->pass(gamma_, image_);
      // Far from the end, what is left out may weigh more.
      if (tiles_->moved() < kMargin / 2 * (last_error > 1e3 * options_.tolerance ? 3 : 1)) {
        return error;
      }
      take_row_potentials();
    }
    // Row potentials that belong to gamma first, then the tiles; the iteration itself is that of the stream.
    const double error = stream();
    if (error < kInfinity && error < kCalm) {
      built_ = tiles_->build(gamma_, phi_, cut(), std::min(most_stored_, phi_.size() * gamma_.size() / 2));
      if (!built_) engine_ = dense_fits_ ? Engine::dense : Engine::stream;
    }
    return error;
  }

  /// Iterates at the present epsilon until the tolerance is met (met_) or the iterations, at most
  /// `most`, have run out.
  void iterate(double tolerance, std::size_t most = std::numeric_limits<std::size_t>::max()) {
    const std::size_t end = n_iterations_ + std::min(most, options_.max_iterations - n_iterations_);
    if (anderson_) anderson_->restart();
    bool accelerated = false;
    double last_error = kInfinity, best_error = kInfinity, reach = kFirstReach;
    std::size_t best_iteration = n_iterations_, pause = 0, next_pause = 0;
    met_ = false;
    std::size_t newton_at = before_newton_ == kNever ? kNever : n_iterations_ + before_newton_;
    while (n_iterations_ < end) {
      poll_interrupt();
      const double error = iteration(last_error);
      history_[n_iterations_++] = error;
      if (error <= tolerance) {
        gamma_.swap(image_);
        met_ = true;
        break;
      }
      if (error < best_error) {
        best_error = error;
        best_iteration = n_iterations_;
        if (accelerated) next_pause = 0;
      } else if (engine_ != Engine::exact && best_error < 1e-5 && n_iterations_ - best_iteration > kPatience) {
        take_row_potentials();
        exact_only_ = true;
        begin_stage(false);
      }
      if (n_iterations_ >= newton_at && n_iterations_ < end) {
        take_row_potentials();
        if (newton(tolerance, end)) return;
        newton_at = n_iterations_ + before_newton_;
        anderson_->restart();
        accelerated = false;
        last_error = kInfinity;
        continue;
      }
      if (!anderson_ || pause > 0) {
        gamma_.swap(image_);
        last_error = error;
        pause -= pause > 0 ? 1 : 0;
      } else if (accelerated && !(error <= kGrowth * last_error)) {
        gamma_ = plain_image_;
        anderson_->restart();
        accelerated = false;
        reach = std::max(reach / 4, kLeastReach);
        pause = next_pause;
        next_pause = std::min(2 * next_pause + 1, kMostPause);
      } else {
        last_error = error;
        plain_image_ = image_;
        anderson_->step(gamma_, image_, reach);
        if (accelerated) reach = std::min(reach * 2, kMostReach);
        accelerated = true;
      }
    }
    if (accelerated && !met_) gamma_ = plain_image_;
    take_row_potentials();
  }

  /// Newton's method, with a search along each step: whether it has met the tolerance, or used up the iterations.
  bool newton(double tolerance, std::size_t end) {
    Newton method(pairs_);
    std::vector<double> step(gamma_.size()), from;
    double error = exact_iteration();
    for (std::size_t k = 0; k < kNewtonSteps; ++k) {
      if (error <= tolerance) {
        gamma_.swap(image_);
        met_ = true;
        return true;
      }
      method.find_step(gamma_, phi_, image_, step);
      const double slope = method.slope(gamma_, image_, step);
      if (!(slope > 0)) return false;
      from = gamma_;
      double low = 0, high = 2, gained = 0;  // the dual has grown by at least so much at `low`
      for (double at = 1;; at = (low + high) / 2) {
        if (n_iterations_ == end) return true;
        for (std::size_t j = 0; j < gamma_.size(); ++j) gamma_[j] = from[j] + at * step[j];
        error = exact_iteration();
        // The dual is concave: it has grown by at least this, and its slope is largest at `low`.
        const double left = method.slope(gamma_, image_, step), growth = gained + (at - low) * left;
        if (left > kSteep * slope && at < 1) {
          low = at;
          gained = growth;
        } else if (growth > 0 || (at == 1 && left > -kOvershoot * slope)) {
          break;
        } else {
          high = at;
        }
        if (high - low < 1e-12 * high) return false;
      }
    }
    return false;
  }

  double exact_iteration() {
    poll_interrupt();
    const double error = pairs_.pass(gamma_, phi_, image_);
    history_[n_iterations_++] = error;
    return error;
  }

  const SinkhornProblem& problem_;
  const SinkhornOptions& options_;
  const span<double> history_;
  Pairs pairs_;
  std::vector<double> phi_, gamma_, image_, plain_image_, row_sums_;
  std::unique_ptr<Anderson> anderson_;
  std::unique_ptr<DenseKernel> dense_;
  std::unique_ptr<Tiles> tiles_;
  Engine engine_ = Engine::exact;
  std::size_t n_iterations_ = 0, most_stored_, before_newton_ = kNever;
  bool built_ = false, met_ = false, dense_fits_, exact_only_;
};

/// The costs of points with many coordinates; nothing of others.
std::vector<double> many_coordinates(const Cost& cost, unsigned n_threads) {
  std::vector<double> values;
  std::visit(
      [&](const auto& c) {
        if constexpr (std::is_same_v<std::decay_t<decltype(c)>, PointCost<float>> ||
                      std::is_same_v<std::decay_t<decltype(c)>, PointCost<double>>)
          if (c.d > kFewCoordinates) values.resize(c.n * c.m);
      },
      cost);
  if (values.empty()) return values;
  for_pieces(cost, n_threads, [&](std::size_t, std::size_t begin, std::size_t end, auto& rows) {
    const std::size_t m = n_columns(cost);
    for (std::size_t i = begin; i < end; ++i) {
      const auto* row = rows.row(i);
      for (std::size_t j = 0; j < m; ++j) values[i * m + j] = static_cast<double>(row[j]);
    }
  });
  return values;
}

}  // namespace

SinkhornReport sinkhorn(const SinkhornProblem& problem, const SinkhornOptions& options, span<double> f, span<double> g,
                        span<double> history) {
  // Distances of many coordinates cost more than all else: where they fit the memory of points, they are taken once.
  const std::size_t n = problem.a.size, m = problem.b.size;
  const std::vector<double> distances =
      options.anderson > 0 && m <= kMostDistances / n ? many_coordinates(problem.cost, options.n_threads)
                                                      : std::vector<double>();
  if (!distances.empty()) {
    SinkhornProblem stored = problem;
    stored.cost = StoredCost<double>{distances.data(), n, m};
    return Solver(stored, options, history).run(f, g);
  }
  return Solver(problem, options, history).run(f, g);
}

}  // namespace likewise::transport
