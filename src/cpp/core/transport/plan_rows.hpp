// Rows of a plan that is never stored.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/transport/cost_rows.hpp"
#include "likewise/transport/sinkhorn.hpp"

namespace likewise::transport {

/// Rows of P, each into memory of the caller.
class PlanRows {
 public:
  explicit PlanRows(const Plan& plan) : plan_(plan), potential_(plan.b.size) {
    // Half of the largest sum of potentials and the costs may be large alike: the shift is one of the costs.
    shift_ = std::visit(
        [](const auto& c) {
          auto rows = rows_of(c);
          return static_cast<double>(rows.row(0)[0]);
        },
        plan.cost);
    for (std::size_t j = 0; j < potential_.size(); ++j)
      potential_[j] = plan.b[j] > 0 ? (plan.g[j] - shift_ / 2) / plan.epsilon + std::log(plan.b[j]) : -1e300;
  }
  /// Has to come before `read_floats`.
  void prepare_floats() {
    const auto too_light = [](double weight) { return weight > 0 && weight < kLeastWeight; };
    if (std::any_of(plan_.b.begin(), plan_.b.end(), too_light)) return;
    for (std::size_t j = 0; j < potential_.size(); ++j) {
      plain_.push_back(plan_.b[j] > 0 ? (plan_.g[j] - shift_ / 2) / plan_.epsilon : -1e300);
      weights_.push_back(static_cast<float>(plan_.b[j]));
    }
  }
  template <class Rows>
  void read(std::size_t i, Rows& rows, double* out) const {
    const std::size_t m = potential_.size();
    if (plan_.a[i] <= 0) {
      std::fill_n(out, m, 0.0);
      return;
    }
    cost_kernels<typename Rows::Value>().exponentials(
        rows.row(i), potential_.data(), m, shift_, 1 / plan_.epsilon,
        (plan_.f[i] - shift_ / 2) / plan_.epsilon + std::log(plan_.a[i]), out);
  }
  /// The same in float32: relative errors of 1e-7, and of 6e-8 times the exponent where that is large. False, and
  /// nothing written, where weights are so small that factors of the entries may not fit float32.
  template <class Rows>
  bool read_floats(std::size_t i, Rows& rows, float* out) const {
    if (weights_.empty() || (plan_.a[i] > 0 && plan_.a[i] < kLeastWeight)) return false;
    // Small exponents, which lose nothing: the weights are factors.
    cost_kernels<typename Rows::Value>().weighted_exponentials(
        rows.row(i), plain_.data(), weights_.data(), weights_.size(), shift_, 1 / plan_.epsilon,
        (plan_.f[i] - shift_ / 2) / plan_.epsilon, static_cast<float>(plan_.a[i]), out);
    return true;
  }

 private:
  static constexpr double kLeastWeight = 1e-18;

  const Plan& plan_;
  double shift_ = 0;
  std::vector<double> potential_, plain_;  // with and without the logarithms of b
  std::vector<float> weights_;
};

}  // namespace likewise::transport
