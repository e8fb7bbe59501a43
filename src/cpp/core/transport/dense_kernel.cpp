#include <algorithm>
#include <cmath>
#include <limits>

#include "core/transport/cost_rows.hpp"
#include "core/transport/scaling.hpp"

namespace likewise::transport {
namespace {

constexpr std::size_t kFlush = 128;   // rows after which float32 sums go to float64: longer ones stall near 1e-6
constexpr double kFarthest = 30;      // changes of a potential that float32 factors stand
constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool is_safe(double sum) { return sum > 1e-25 && sum < 1e25; }

}  // namespace

Scaling::Scaling(Pairs& pairs)
    : pairs_(pairs),
      phi0_(pairs.problem().a.size),
      gamma0_(pairs.problem().b.size),
      row_sums_(pairs.problem().a.size),
      v_(pairs.stride(), 0.0f) {}

double Scaling::pass(const std::vector<double>& gamma, std::vector<double>& image) {
  moved_ = kernel_table().scaling.exp_differences(gamma.data(), gamma0_.data(), gamma.size(), v_.data());
  if (!(moved_ < kFarthest)) return kInfinity;
  sums_.assign(pairs_.stride(), 0.0);
  sweep(v_, sums_);
  if (!std::all_of(row_sums_.begin(), row_sums_.end(), is_safe)) return kInfinity;
  for (std::size_t j = 0; j < gamma.size(); ++j) sums_[j] *= static_cast<double>(v_[j]);
  return pairs_.finish_columns(sums_, gamma, image);
}

void Scaling::row_potentials(std::vector<double>& phi) const {
  for (std::size_t i = 0; i < phi.size(); ++i)
    if (is_safe(row_sums_[i])) phi[i] = pairs_.fresh_potential(phi0_[i], row_sums_[i]);
}

DenseKernel::DenseKernel(Pairs& pairs)
    : Scaling(pairs),
      values_(pairs.problem().a.size * pairs.stride()),
      partial_(Pieces(pairs.problem().a.size, pairs.problem().b.size).n * pairs.stride()) {}

double DenseKernel::build(const std::vector<double>& gamma, std::vector<double>& phi, std::vector<double>& image) {
  phi0_ = phi;
  gamma0_ = gamma;
  return pairs_.float_pass(gamma, phi, image, values_.data(), row_sums_);
}

void DenseKernel::sweep(const Floats& v, std::vector<double>& sums) {
  const kernels::ScalingKernels& kernel = kernel_table().scaling;
  const std::size_t n = phi0_.size(), width = v.size();
  const Pieces pieces(n, gamma0_.size());
  std::fill(partial_.begin(), partial_.end(), 0.0);
  parallel_for(pieces.n, pairs_.n_threads(), [&](std::size_t p) {
    const std::size_t begin = p * pieces.rows, end = std::min(n, begin + pieces.rows);
    Floats columns(width, 0.0f);
    for (std::size_t i = begin; i < end; i += 4) {
      const std::size_t count = std::min<std::size_t>(4, end - i);
      const float* rows = values_.data() + i * width;
      float factors[4];
      kernel.row_sums(rows, width, count, v.data(), width, row_sums_.data() + i);
      for (std::size_t r = 0; r < count; ++r)
        factors[r] = pairs_.row_factor(i + r, phi0_[i + r], row_sums_[i + r]);
      kernel.add_rows(rows, width, count, factors, width, columns.data());
      if ((i - begin) % kFlush == kFlush - 4 || i + 4 >= end)
        kernel.flush(columns.data(), width, partial_.data() + p * width);
    }
    poll_interrupt();
  });
  for (std::size_t p = 0; p < pieces.n; ++p)
    kernel_table().sinkhorn.add_multiple(partial_.data() + p * width, 1.0, width, sums.data());
}

}  // namespace likewise::transport
