#include "core/transport/anderson.hpp"

#include <algorithm>
#include <cmath>

#include "core/dispatch.hpp"
#include "core/transport/cholesky.hpp"

namespace likewise::transport {
namespace {

constexpr double kRidge = 1e-10;  // of the normalised Gram matrix: float32 differences carry no more

}  // namespace

Anderson::Anderson(std::size_t memory, span<const double> weights)
    : memory_(memory),
      size_(weights.size),
      weights_(weights),
      residual_differences_(memory * weights.size),
      image_differences_(memory * weights.size),
      last_residual_(weights.size),
      last_image_(weights.size),
      weighted_(weights.size),
      scratch_(weights.size),
      gram_(memory * memory),
      theta_(memory) {}

void Anderson::step(span<double> x, span<const double> image, double reach) {
  const kernels::ScalingKernels& kernel = kernel_table().scaling;
  // The first call after a restart writes differences to nothing, which nobody reads.
  kernel.differences(image.data, weights_.data, size_, x.data, last_residual_.data(), last_image_.data(),
                     weighted_.data(), residual_differences_.data() + next_ * size_,
                     image_differences_.data() + next_ * size_);
  if (!has_last_) {
    has_last_ = true;
    return;
  }
  const std::size_t at = next_;
  next_ = (next_ + 1) % memory_;
  count_ = std::min(count_ + 1, memory_);
  const float* newest = residual_differences_.data() + at * size_;
  for (std::size_t j = 0; j < size_; ++j) scratch_[j] = weights_[j] * static_cast<double>(newest[j]);
  kernel.products(residual_differences_.data(), count_, scratch_.data(), size_, theta_.data());
  for (std::size_t k = 0; k < count_; ++k) gram_[at * memory_ + k] = gram_[k * memory_ + at] = theta_[k];
  kernel.products(residual_differences_.data(), count_, weighted_.data(), size_, theta_.data());
  factors_ = gram_;
  solve_scaled(factors_, memory_, count_, kRidge, theta_.data());
  kernel.subtract(image_differences_.data(), count_, theta_.data(), size_, x.data);
  double farthest = 0;
  for (std::size_t j = 0; j < size_; ++j) farthest = std::max(farthest, std::abs(x[j] - image[j]));
  if (farthest > reach)
    for (std::size_t j = 0; j < size_; ++j) x[j] = image[j] + reach / farthest * (x[j] - image[j]);
}

}  // namespace likewise::transport
