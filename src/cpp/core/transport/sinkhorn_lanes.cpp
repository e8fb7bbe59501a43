#include "core/transport/sinkhorn_lanes.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/dispatch.hpp"
#include "core/thread_pool.hpp"
#include "core/transport/cost_rows.hpp"

namespace likewise::transport {
namespace {

constexpr double kNothing = -1e300;  // an exponent whose exponential is 0
constexpr double kGrowth = 2;        // an accelerated step may let the error grow by this factor
constexpr std::size_t kTogether = 256;          // iterations between looks at signals
constexpr std::size_t kAccelerated = 500;       // iterations of a problem in one type: then it takes other means

template <class T>
struct Range;
template <>
struct Range<float> {
  static constexpr float limit = 1e25f;    // of scalings: products with kernel entries stay normal numbers
  static constexpr double direct = 650;     // costs over epsilon whose kernel needs no potentials
  static constexpr double smallest = 1e-37;
  static constexpr double share = 0.5;     // of the tolerance, at which an iteration in this type stops
};
template <>
struct Range<double> {
  static constexpr double limit = 1e140;  // of both scalings, on an entry that underflows: nothing
  static constexpr double direct = 650;
  static constexpr double smallest = 1e-300;
  static constexpr double share = 1;
};

template <class T>
const kernels::LaneKernels<T>& lane_kernels() {
  if constexpr (sizeof(T) == 4) {
    return kernel_table().batch.f32;
  } else {
    return kernel_table().batch.f64;
  }
}

template <class C>
const kernels::SmallKernels<C>& small_kernels() {
  if constexpr (sizeof(C) == 4) {
    return kernel_table().batch.small32;
  } else {
    return kernel_table().batch.small64;
  }
}

template <class Cost>
constexpr bool is_stored = false;
template <class C>
constexpr bool is_stored<StoredCost<C>> = true;

/// -log sum_j w_j exp(p_j - (c_j - shift) scale): the potential of a point that has no weight, costs `step` apart.
template <class C>
double free_potential(const C* cost, std::size_t step, span<const double> weights,
                      const std::vector<double>& potential, double shift, double scale) {
  double largest = kNothing, sum = 0;
  const auto exponent = [&](std::size_t j) {
    return potential[j] - (static_cast<double>(cost[j * step]) - shift) * scale;
  };
  for (std::size_t j = 0; j < weights.size; ++j)
    if (weights[j] > 0) largest = std::max(largest, exponent(j));
  for (std::size_t j = 0; j < weights.size; ++j)
    if (weights[j] > 0) sum += weights[j] * std::exp(exponent(j) - largest);
  return -largest - std::log(sum);
}

}  // namespace

template <class T>
Lanes<T>::Lanes(std::size_t n, std::size_t m, const SinkhornOptions& options)
    : options_(options), rows_(n), columns_(m) {
  const std::size_t memory = std::min(options.anderson, kernels::kMostSteps);
  const std::size_t steps = memory > 0 ? 2 * memory * m + kernels::kMostSteps * kernels::kMostSteps + 3 * m : 0;
  memory_.resize((n * m + 2 * n + 3 * m + 5 + steps + 1) * kWidth);
  // Registers that straddle two cache lines cost twice as much to load.
  const std::size_t past = reinterpret_cast<std::uintptr_t>(memory_.data()) % 64;
  T* next = memory_.data() + (past > 0 ? (64 - past) / sizeof(T) : 0);
  const auto take = [&](std::size_t entries) {
    T* const taken = next;
    next += entries * kWidth;
    return taken;
  };
  state_.stride = m;
  state_.kernel = kernel_ = take(n * m);
  state_.a = a_ = take(n);
  state_.b = b_ = take(m);
  state_.u = take(n);
  state_.v = take(m);
  state_.image = take(m);
  state_.error = take(1);
  state_.largest = take(1);
  state_.threshold = threshold_ = take(1);
  state_.bound = take(1);
  state_.count = take(1);
  state_.memory = memory;
  state_.limit = Range<T>::limit;
  state_.growth = static_cast<T>(kGrowth);
  state_.has_image = true;
  if (memory > 0) {
    state_.plain = take(m);
    state_.residual = take(m);
    state_.step = take(m);
    state_.residual_differences = take(memory * m);
    state_.image_differences = take(memory * m);
    state_.gram = take(kernels::kMostSteps * kernels::kMostSteps);
  }
  for (std::vector<double>* const values : {&u_, &row_sums_}) values->resize(n);
  for (std::vector<double>* const values : {&v_, &column_sums_}) values->resize(m);
  logs_.resize(std::max(n, m));
}

template <class T>
std::vector<LaneJob> Lanes<T>::solve(span<const LaneJob> jobs) {
  waiting_ = jobs;
  for (std::size_t lane = 0; lane < kWidth; ++lane) take_next(lane);
  while (state_.active != 0) {
    poll_interrupt();
    scatter();
    std::size_t count = kTogether, done = 0;
    state_.n = state_.m = 0;
    for_active([&](std::size_t lane) {
      count = std::min(count, lanes_[lane].budget);
      state_.n = std::max(state_.n, lanes_[lane].job.f.size);
      state_.m = std::max(state_.m, lanes_[lane].job.g.size);
    });
    const std::uint32_t marked = lane_kernels<T>().run(state_, count, &done);
    for_active([&](std::size_t lane) {
      lanes_[lane].budget -= done;
      lanes_[lane].job.report->n_iterations += done;
      if ((marked >> lane & 1) != 0 || lanes_[lane].budget == 0) handle(lane);
    });
  }
  return std::move(unfinished_);
}

template <class T>
template <class Use>
void Lanes<T>::for_active(const Use& use) {
  for (std::size_t lane = 0; lane < kWidth; ++lane)
    if ((state_.active >> lane & 1) != 0) use(lane);
}

/// Calls use with the costs of the lane's problem, row by row.
template <class T>
template <class Use>
auto Lanes<T>::with_cost(Lane& lane, const Use& use) {
  return std::visit(
      [&](const auto& cost) {
        if constexpr (is_stored<std::decay_t<decltype(cost)>>) {
          return use(cost.values);
        } else {
          return use(static_cast<const double*>(lane.cost.data()));
        }
      },
      lane.job.problem->cost);
}

template <class T>
void Lanes<T>::take_next(std::size_t at) {
  while (!waiting_.empty()) {
    const LaneJob job = waiting_[0];
    waiting_ = {waiting_.data + 1, waiting_.size - 1};
    if (start(at, job)) return;
  }
  state_.active &= ~(std::uint32_t{1} << at);
  lanes_[at].job = {};
  for (std::size_t i = 0; i < rows_; ++i) a_[i * kWidth + at] = 0;
  for (std::size_t j = 0; j < columns_; ++j)
    b_[j * kWidth + at] = state_.v[j * kWidth + at] = state_.image[j * kWidth + at] = 0;
}

/// Returns whether the problem is in the lane now. One with a single point on a side has been solved at once.
template <class T>
bool Lanes<T>::start(std::size_t at, const LaneJob& job) {
  Lane& lane = lanes_[at];
  const std::size_t n = job.f.size, m = job.g.size;
  lane.job = job;
  lane.budget = options_.max_iterations - job.report->n_iterations;
  if (sizeof(T) == 4 || state_.memory > 0) lane.budget = std::min(lane.budget, kAccelerated);
  lane.phi.assign(n, 0.0);
  lane.gamma.assign(m, 0.0);
  lane.kernel.resize(n * m);
  compute_cost(lane);
  return with_cost(lane, [&](const auto* cost) {
    const auto& kernel = small_kernels<std::decay_t<decltype(*cost)>>();
    double highest = 0;
    kernel.range(cost, n * m, &lane.shift, &highest);
    lane.scale = 1 / job.problem->epsilon;
    const double spread = (highest - lane.shift) * lane.scale;
    const bool cold = std::all_of(job.g.begin(), job.g.end(), [](double g) { return g == 0; });
    const bool single = n == 1 || m == 1;
    if (cold && !single && spread < Range<T>::direct) {
      kernel.fill(cost, lane.shift, lane.scale, n, m, job.problem->a.data, job.problem->b.data, lane.kernel.data());
    } else {
      for (std::size_t j = 0; j < m; ++j)
        lane.gamma[j] = job.in_progress ? job.g[j] : (job.g[j] - lane.shift / 2) * lane.scale;
      iterate_in_logs(lane, cost);
    }
    if (single || lane.budget == 0) {
      std::fill_n(u_.begin(), n, 1.0);
      std::fill_n(v_.begin(), m, 1.0);
      verify(lane, cost);
      return false;
    }
    load(at);
    return true;
  });
}

/// The matrix of a problem that is given by its points.
template <class T>
void Lanes<T>::compute_cost(Lane& lane) {
  std::visit(
      [&](const auto& cost) {
        if constexpr (!is_stored<std::decay_t<decltype(cost)>>) {
          auto rows = rows_of(cost);
          lane.cost.resize(cost.n * cost.m);
          for (std::size_t i = 0; i < cost.n; ++i) std::copy_n(rows.row(i), cost.m, lane.cost.data() + i * cost.m);
        }
      },
      lane.job.problem->cost);
}

/// A full iteration in float64 on logarithms, from gamma: safe for any potentials. Then the kernel with both absorbed.
template <class T>
template <class C>
void Lanes<T>::iterate_in_logs(Lane& lane, const C* cost) {
  const kernels::CostKernels<C>& kernel = cost_kernels<C>();
  const SinkhornProblem& p = *lane.job.problem;
  const std::size_t n = lane.phi.size(), m = lane.gamma.size();
  std::vector<double> potential(m), maxima(m, kNothing), sums(m), e(m);
  const auto absorb_weights = [&] {
    for (std::size_t j = 0; j < m; ++j) potential[j] = p.b[j] > 0 ? lane.gamma[j] + std::log(p.b[j]) : kNothing;
  };
  absorb_weights();
  for (std::size_t i = 0; i < n; ++i) {
    const C* const row = cost + i * m;
    const double largest = kernel.max_exponent(row, potential.data(), m, lane.shift, lane.scale);
    lane.phi[i] = -largest -
                  std::log(kernel.exponentials(row, potential.data(), m, lane.shift, lane.scale, -largest, e.data()));
    if (p.a[i] > 0) kernel.max_with(row, m, lane.shift, lane.scale, lane.phi[i] + std::log(p.a[i]), maxima.data());
  }
  for (double& v : maxima) v = -v;
  for (std::size_t i = 0; i < n; ++i) {
    if (p.a[i] <= 0) continue;
    kernel.exponentials(cost + i * m, maxima.data(), m, lane.shift, lane.scale, lane.phi[i] + std::log(p.a[i]),
                        e.data());
    kernel_table().sinkhorn.add_multiple(e.data(), 1.0, m, sums.data());
  }
  for (std::size_t j = 0; j < m; ++j) lane.gamma[j] = maxima[j] - std::log(sums[j]);
  absorb_weights();
  // Entries that are nothing now may become large by the scalings: none is left out that float64 can hold.
  std::vector<double> own(n);
  for (std::size_t i = 0; i < n; ++i) own[i] = p.a[i] > 0 ? lane.phi[i] + std::log(p.a[i]) : kNothing;
  small_kernels<C>().absorb(cost, lane.shift, lane.scale, n, m, own.data(), potential.data(), lane.kernel.data());
  ++lane.job.report->n_iterations;
  --lane.budget;
}

/// Kernels of lanes that have been loaded, into the registers' memory: by fours where four neighbours are of one shape.
template <class T>
void Lanes<T>::scatter() {
  const kernels::LaneKernels<T>& kernel = lane_kernels<T>();
  for (std::size_t at = 0; at < kWidth; ++at) {
    if ((unscattered_ >> at & 1) == 0) continue;
    const Lane* const lane = &lanes_[at];
    const std::size_t n = lane->phi.size(), m = lane->gamma.size();
    const auto alike = [&](const Lane& other) { return other.phi.size() == n && other.gamma.size() == m; };
    if (at % 4 == 0 && (unscattered_ >> at & 15) == 15 && std::all_of(lane + 1, lane + 4, alike)) {
      const double* const entries[] = {lane[0].kernel.data(), lane[1].kernel.data(), lane[2].kernel.data(),
                                       lane[3].kernel.data()};
      kernel.scatter_four(entries, n, m, columns_, kernel_ + at);
      at += 3;
    } else {
      kernel.scatter(lane->kernel.data(), n, m, columns_, kernel_ + at);
    }
  }
  unscattered_ = 0;
}

/// The lane's kernel and weights into the registers' memory, the kernel by the next `scatter`; scalings of 1.
template <class T>
void Lanes<T>::load(std::size_t at) {
  Lane& lane = lanes_[at];
  const std::size_t n = lane.phi.size(), m = lane.gamma.size(), row = columns_ * kWidth;
  const auto narrow = [](double v) { return v < Range<T>::smallest ? T{0} : static_cast<T>(v); };
  unscattered_ |= std::uint32_t{1} << at;
  // What the problem before has left behind this one's own rows and columns.
  for (std::size_t i = 0; i < lane.loaded_n; ++i)
    for (std::size_t j = i < n ? m : 0; j < lane.loaded_m; ++j) kernel_[i * row + j * kWidth + at] = 0;
  lane.loaded_n = n;
  lane.loaded_m = m;
  for (std::size_t i = 0; i < rows_; ++i) a_[i * kWidth + at] = i < n ? narrow(lane.job.problem->a[i]) : T{0};
  for (std::size_t j = 0; j < columns_; ++j) {
    const std::size_t place = j * kWidth + at;
    b_[place] = j < m ? narrow(lane.job.problem->b[j]) : T{0};
    state_.v[place] = state_.image[place] = j < m ? T{1} : T{0};
    if (state_.memory > 0) state_.residual[place] = state_.step[place] = 0;
  }
  threshold_[at] = static_cast<T>(lane.job.asked * Range<T>::share);
  restart_acceleration(at);
  state_.active |= std::uint32_t{1} << at;
}

/// The next residual is none, as scalings have been replaced, and the one after it has none before.
template <class T>
void Lanes<T>::restart_acceleration(std::size_t at) {
  state_.count[at] = -2;
  state_.bound[at] = std::numeric_limits<T>::infinity();
}

template <class T>
void Lanes<T>::handle(std::size_t at) {
  Lane& lane = lanes_[at];
  if (!(state_.largest[at] <= state_.limit) || !(state_.error[at] <= state_.limit)) {
    // Out of range: this iteration once more, in logarithms.
    take_scalings(at, state_.v);
    for (std::size_t j = 0; j < lane.gamma.size(); ++j)
      if (v_[j] > 0) lane.gamma[j] += std::log(v_[j]);
    --lane.job.report->n_iterations;
    ++lane.budget;
    with_cost(lane, [&](const auto* cost) { iterate_in_logs(lane, cost); });
    load(at);
    if (lane.budget > 0) return;
    std::fill_n(u_.begin(), lane.phi.size(), 1.0);
    std::fill_n(v_.begin(), lane.gamma.size(), 1.0);
  } else if (state_.error[at] <= threshold_[at] || lane.budget == 0) {
    take_scalings(at, state_.image);
  } else {  // the acceleration led astray: back to the plain iteration it started from
    for (std::size_t j = 0; j < columns_; ++j) state_.image[j * kWidth + at] = state_.plain[j * kWidth + at];
    restart_acceleration(at);
    return;
  }
  LaneJob job = lane.job;
  const bool exhausted = lane.budget == 0;
  const std::vector<double> absorbed = lane.gamma, scalings = v_;
  with_cost(lane, [&](const auto* cost) { verify(lane, cost); });
  SinkhornReport& report = *job.report;
  const bool more = report.marginal_error > options_.tolerance && report.n_iterations < options_.max_iterations;
  if (more && job.asked > 1e-16) {
    if (sizeof(T) == 8 && exhausted) {  // other means begin anew, and what was verified may remain the better result
      unfinished_.push_back(job);
      take_next(at);
      return;
    }
    for (std::size_t j = 0; j < absorbed.size(); ++j)
      job.g[j] = scalings[j] > 0 ? absorbed[j] + std::log(scalings[j]) : absorbed[j];
    job.in_progress = true;
    if (sizeof(T) == 4) {
      unfinished_.push_back(job);
    } else {  // what the loop saw and what was verified lie on two sides of the tolerance
      job.asked = std::min(job.asked, report.marginal_error) / 2;
      start(at, job);
      return;
    }
  }
  take_next(at);
}

template <class T>
void Lanes<T>::take_scalings(std::size_t at, const T* columns) {
  for (std::size_t i = 0; i < lanes_[at].phi.size(); ++i) u_[i] = static_cast<double>(state_.u[i * kWidth + at]);
  for (std::size_t j = 0; j < lanes_[at].gamma.size(); ++j) v_[j] = static_cast<double>(columns[j * kWidth + at]);
}

/// Measures the plan of the scalings u_ and v_ in float64, and writes the potentials of a report.
template <class T>
template <class C>
void Lanes<T>::verify(Lane& lane, const C* cost) {
  const SinkhornProblem& p = *lane.job.problem;
  const kernels::SinkhornKernels& kernel = kernel_table().sinkhorn;
  const std::size_t n = lane.phi.size(), m = lane.gamma.size();
  SinkhornReport& report = *lane.job.report;
  const double excess =
      small_kernels<C>().measure(lane.kernel.data(), cost, lane.shift, n, m, u_.data(), v_.data(), row_sums_.data(),
                                 column_sums_.data());
  report.method = SinkhornMethod::kernel;
  report.mass = report.marginal_error = 0;
  for (std::size_t i = 0; i < n; ++i) {
    report.mass += row_sums_[i];
    report.marginal_error += std::abs(row_sums_[i] - p.a[i]);
  }
  for (std::size_t j = 0; j < m; ++j) report.marginal_error += std::abs(column_sums_[j] - p.b[j]);
  report.cost = excess + lane.shift * report.mass;
  report.converged = report.marginal_error <= options_.tolerance;

  const auto add_logarithms = [&](std::vector<double>& scalings, std::vector<double>& potential) {
    bool all = true;
    for (std::size_t i = 0; i < potential.size(); ++i) {
      all = all && scalings[i] > 0;
      if (!(scalings[i] > 0)) scalings[i] = 1;
    }
    kernel.logarithms(scalings.data(), potential.size(), logs_.data());
    for (std::size_t i = 0; i < potential.size(); ++i) potential[i] += logs_[i];
    return all;
  };
  const bool all_u = add_logarithms(u_, lane.phi), all_v = add_logarithms(v_, lane.gamma);
  if (!all_u)
    for (std::size_t i = 0; i < n; ++i)
      if (p.a[i] <= 0) lane.phi[i] = free_potential(cost + i * m, 1, p.b, lane.gamma, lane.shift, lane.scale);
  if (!all_v)
    for (std::size_t j = 0; j < m; ++j)
      if (p.b[j] <= 0) lane.gamma[j] = free_potential(cost + j, m, p.a, lane.phi, lane.shift, lane.scale);
  const double left = kernel.dot(p.a.data, lane.phi.data(), n), right = kernel.dot(p.b.data, lane.gamma.data(), m);
  const double move = (right - left) / 2;
  for (std::size_t i = 0; i < n; ++i) lane.job.f[i] = (lane.phi[i] + move) * p.epsilon + lane.shift / 2;
  for (std::size_t j = 0; j < m; ++j) lane.job.g[j] = (lane.gamma[j] - move) * p.epsilon + lane.shift / 2;
  report.regularised_cost = (left + right - (report.mass - 1)) * p.epsilon + lane.shift;
}

template class Lanes<float>;
template class Lanes<double>;

}  // namespace likewise::transport
