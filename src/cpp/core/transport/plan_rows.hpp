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

 private:
  const Plan& plan_;
  double shift_ = 0;
  std::vector<double> potential_;
};

}  // namespace likewise::transport
