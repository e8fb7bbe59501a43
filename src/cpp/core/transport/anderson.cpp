#include "core/transport/anderson.hpp"

#include <algorithm>
#include <cmath>

namespace likewise::transport {
namespace {

constexpr double kRidge = 1e-10;  // of the normalised Gram matrix: float32 differences carry no more

/// Solves (gram + ridge) x = right side in place by Cholesky's factorisation, both scaled to a unit diagonal.
void solve(std::vector<double> gram, std::size_t stride, std::size_t k, double* x) {
  std::vector<double> scale(k);
  for (std::size_t i = 0; i < k; ++i) {
    const double diagonal = gram[i * stride + i];
    scale[i] = diagonal > 0 ? 1 / std::sqrt(diagonal) : 0;
    x[i] *= scale[i];
  }
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = i == j ? 1 + kRidge : gram[i * stride + j] * scale[i] * scale[j];
      for (std::size_t l = 0; l < j; ++l) sum -= gram[i * stride + l] * gram[j * stride + l];
      gram[i * stride + j] = i == j ? std::sqrt(std::max(sum, kRidge)) : sum / gram[j * stride + j];
    }
  }
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t l = 0; l < i; ++l) x[i] -= gram[i * stride + l] * x[l];
    x[i] /= gram[i * stride + i];
  }
  for (std::size_t i = k; i-- > 0;) {
    for (std::size_t l = i + 1; l < k; ++l) x[i] -= gram[l * stride + i] * x[l];
    x[i] /= gram[i * stride + i];
  }
  for (std::size_t i = 0; i < k; ++i) x[i] *= scale[i];
}

}  // namespace

Anderson::Anderson(std::size_t memory, span<const double> weights)
    : memory_(memory),
      size_(weights.size),
      weights_(weights),
      residual_differences_(memory * weights.size),
      image_differences_(memory * weights.size),
      last_residual_(weights.size),
      last_image_(weights.size),
      gram_(memory * memory) {}

void Anderson::step(span<double> x, span<const double> image) {
  std::vector<double> theta(memory_);
  if (has_last_) {
    float* dr = residual_differences_.data() + next_ * size_;
    float* di = image_differences_.data() + next_ * size_;
    for (std::size_t j = 0; j < size_; ++j) {
      dr[j] = static_cast<float>(image[j] - x[j] - last_residual_[j]);
      di[j] = static_cast<float>(image[j] - last_image_[j]);
    }
    const std::size_t at = next_;
    next_ = (next_ + 1) % memory_;
    count_ = std::min(count_ + 1, memory_);
    for (std::size_t k = 0; k < count_; ++k) {
      const float* other = residual_differences_.data() + k * size_;
      double sum = 0;
      for (std::size_t j = 0; j < size_; ++j)
        sum += weights_[j] * static_cast<double>(dr[j]) * static_cast<double>(other[j]);
      gram_[at * memory_ + k] = gram_[k * memory_ + at] = sum;
    }
  }
  for (std::size_t j = 0; j < size_; ++j) {
    last_residual_[j] = image[j] - x[j];
    last_image_[j] = image[j];
    x[j] = image[j];
  }
  has_last_ = true;
  if (count_ == 0) {
    next_ = 0;
    return;
  }
  for (std::size_t k = 0; k < count_; ++k) {
    const float* dr = residual_differences_.data() + k * size_;
    double sum = 0;
    for (std::size_t j = 0; j < size_; ++j) sum += weights_[j] * static_cast<double>(dr[j]) * last_residual_[j];
    theta[k] = sum;
  }
  solve(gram_, memory_, count_, theta.data());
  for (std::size_t k = 0; k < count_; ++k) {
    const float* di = image_differences_.data() + k * size_;
    for (std::size_t j = 0; j < size_; ++j) x[j] -= theta[k] * static_cast<double>(di[j]);
  }
}

}  // namespace likewise::transport
