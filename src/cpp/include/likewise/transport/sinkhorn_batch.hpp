// Many entropic transport problems at once: small ones side by side in the lanes of the CPU's registers.
#pragma once
#include <vector>

#include "likewise/transport/sinkhorn.hpp"

namespace likewise::transport {

/// A report for each problem. Potentials as for `sinkhorn`, those of all problems one after the other in f and in g.
/// A result depends on its own problem alone: the same bits in any company, order and number of threads. `kernel` and
/// `automatic` put balanced problems of up to 4096 pairs into lanes; others are left to `sinkhorn`.
std::vector<SinkhornReport> sinkhorn_batch(span<const SinkhornProblem> problems, const SinkhornOptions& options,
                                           span<double> f, span<double> g);

/// `cost_statistics` of each problem.
std::vector<CostStatistics> cost_statistics_batch(span<const SinkhornProblem> problems, unsigned n_threads);

}  // namespace likewise::transport
