#include "likewise/transport/sinkhorn_batch.hpp"

#include <algorithm>
#include <cmath>

#include "core/thread_pool.hpp"
#include "core/transport/cost_rows.hpp"
#include "core/transport/sinkhorn_lanes.hpp"

namespace likewise::transport {
namespace {

constexpr std::size_t kMostPairs = 4096;   // of a problem in a lane: 16 kernels of float32 take 256 KiB
constexpr std::size_t kChunk = 256;        // problems that share the lanes of one thread, at most
constexpr double kLeastSingle = 1e-6;      // tolerances that float32 can meet

bool fits_lanes(const SinkhornProblem& p, const SinkhornOptions& options) {
  return (options.method == SinkhornMethod::automatic || options.method == SinkhornMethod::kernel) &&
         options.max_iterations > 0 && std::isinf(p.rho_a) && std::isinf(p.rho_b) &&
         p.a.size <= kMostPairs / p.b.size;
}

/// Whether the lanes start in float32. Plain iterations on float64 costs are those of the textbook, digit by digit.
bool starts_in_single(const SinkhornProblem& p, const SinkhornOptions& options) {
  const bool stored_single =
      std::holds_alternative<StoredCost<float>>(p.cost) || std::holds_alternative<PointCost<float>>(p.cost);
  return options.tolerance >= kLeastSingle && (stored_single || options.anderson > 0);
}

/// Problems of similar size next to each other: classes by columns, each ordered by rows.
void sort_by_size(std::vector<LaneJob>& jobs) {
  const auto by = [](span<double> LaneJob::*side) {
    return [side](const LaneJob& a, const LaneJob& b) { return (a.*side).size < (b.*side).size; };
  };
  const auto of_one_size = [&](const LaneJob& job) {
    return job.f.size == jobs[0].f.size && job.g.size == jobs[0].g.size;
  };
  if (std::all_of(jobs.begin(), jobs.end(), of_one_size)) return;
  std::stable_sort(jobs.begin(), jobs.end(), by(&LaneJob::g));
  const auto n_classes = static_cast<std::size_t>(std::sqrt(static_cast<double>(jobs.size()) / 16)) + 1;
  const std::size_t width = (jobs.size() + n_classes - 1) / n_classes;
  for (std::size_t begin = 0, c = 0; begin < jobs.size(); begin += width, ++c) {
    const auto first = jobs.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto last = jobs.begin() + static_cast<std::ptrdiff_t>(std::min(begin + width, jobs.size()));
    std::stable_sort(first, last, by(&LaneJob::f));
    if (c % 2 == 1) std::reverse(first, last);
  }
}

template <class T>
std::vector<LaneJob> solve_in(span<const LaneJob> jobs, const SinkhornOptions& options) {
  std::size_t n = 1, m = 1;
  for (const LaneJob& job : jobs) {
    n = std::max(n, job.f.size);
    m = std::max(m, job.g.size);
  }
  return Lanes<T>(n, m, options).solve(jobs);
}

/// Where lanes make no headway: from a large epsilon down, which they cannot do. Keeps the better of the two results.
void solve_anew(const LaneJob& job, const SinkhornOptions& options) {
  SinkhornOptions remaining = options;
  remaining.max_iterations -= job.report->n_iterations;
  std::vector<double> f(job.f.size), g(job.g.size), history(remaining.max_iterations + 1);
  SinkhornReport report = sinkhorn(*job.problem, remaining, f, g, history);
  report.n_iterations += job.report->n_iterations;
  if (!(report.marginal_error < job.report->marginal_error)) {
    job.report->n_iterations = report.n_iterations;
    return;
  }
  *job.report = report;
  std::copy(f.begin(), f.end(), job.f.begin());
  std::copy(g.begin(), g.end(), job.g.begin());
}

void solve_in_lanes(std::vector<LaneJob> jobs, bool single, const SinkhornOptions& options) {
  if (jobs.empty()) return;
  sort_by_size(jobs);
  const std::size_t share = jobs.size() / (4 * options.n_threads) / 16 * 16 + 16;  // whole registers
  const std::size_t chunk = std::min(share, kChunk);
  parallel_for((jobs.size() + chunk - 1) / chunk, options.n_threads, [&](std::size_t c) {
    const span<const LaneJob> part{jobs.data() + c * chunk, std::min(chunk, jobs.size() - c * chunk)};
    std::vector<LaneJob> rest = single ? solve_in<float>(part, options) : std::vector<LaneJob>(part.begin(), part.end());
    if (!rest.empty()) rest = solve_in<double>(rest, options);
    for (const LaneJob& job : rest) solve_anew(job, options);
  });
}

}  // namespace

std::vector<SinkhornReport> sinkhorn_batch(span<const SinkhornProblem> problems, const SinkhornOptions& options,
                                           span<double> f, span<double> g) {
  std::vector<SinkhornReport> reports(problems.size);
  std::vector<LaneJob> single, twofold, others;
  std::size_t row = 0, column = 0;
  for (std::size_t k = 0; k < problems.size; ++k) {
    const SinkhornProblem& p = problems[k];
    const LaneJob job{&p, {f.data + row, p.a.size}, {g.data + column, p.b.size}, &reports[k], options.tolerance, false};
    row += p.a.size;
    column += p.b.size;
    (!fits_lanes(p, options) ? others : starts_in_single(p, options) ? single : twofold).push_back(job);
  }
  solve_in_lanes(std::move(single), true, options);
  solve_in_lanes(std::move(twofold), false, options);
  parallel_for(others.size(), options.n_threads, [&](std::size_t k) {  // one alone uses all threads
    std::vector<double> history(options.max_iterations + 1);
    const LaneJob& job = others[k];
    *job.report = sinkhorn(*job.problem, options, job.f, job.g, history);
  });
  return reports;
}

std::vector<CostStatistics> cost_statistics_batch(span<const SinkhornProblem> problems, unsigned n_threads) {
  std::vector<CostStatistics> found(problems.size);
  constexpr std::size_t kTogether = 64;
  parallel_for((problems.size + kTogether - 1) / kTogether, n_threads, [&](std::size_t c) {
    for (std::size_t k = c * kTogether; k < std::min(problems.size, (c + 1) * kTogether); ++k)
      found[k] = cost_statistics(problems[k].a, problems[k].b, problems[k].cost, 1);
  });
  return found;
}

}  // namespace likewise::transport
