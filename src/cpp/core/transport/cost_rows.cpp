#include "core/transport/cost_rows.hpp"

namespace likewise::transport {
namespace {

template <class T>
const kernels::PointKernels<T>& point_kernels() {
  if constexpr (std::is_same_v<T, float>) {
    return kernel_table().sinkhorn.points32;
  } else {
    return kernel_table().sinkhorn.points64;
  }
}

template <class T>
double length(const T* x, std::size_t d) {
  double sum = 0;
  for (std::size_t k = 0; k < d; ++k) sum += static_cast<double>(x[k]) * static_cast<double>(x[k]);
  return std::sqrt(sum);
}

}  // namespace

template <class T>
PointRows<T>::PointRows(const PointCost<T>& cost) : cost_(cost), values_(std::min(kTogether, cost.n) * cost.m) {
  if (cost_.metric != Metric::cosine) return;
  y_lengths_.resize(cost_.m);
  for (std::size_t j = 0; j < cost_.m; ++j) y_lengths_[j] = length(cost_.y + j * cost_.d, cost_.d);
}

template <class T>
void PointRows<T>::compute(std::size_t i) {
  poll_interrupt();
  first_ = i;
  count_ = std::min(kTogether, cost_.n - i);
  const T* x = cost_.x + i * cost_.d;
  double* out = values_.data();
  if (cost_.metric == Metric::cosine) {
    point_kernels<T>().inner_products(x, count_, cost_.y, cost_.m, cost_.d, out);
    for (std::size_t r = 0; r < count_; ++r) {
      const double own = length(x + r * cost_.d, cost_.d);
      for (std::size_t j = 0; j < cost_.m; ++j)
        out[r * cost_.m + j] = std::max(0.0, 1 - out[r * cost_.m + j] / (own * y_lengths_[j]));
    }
  } else {
    point_kernels<T>().squared_distances(x, count_, cost_.y, cost_.m, cost_.d, out);
    if (cost_.metric == Metric::euclidean) kernel_table().sinkhorn.square_roots(out, count_ * cost_.m);
  }
}

template class PointRows<float>;
template class PointRows<double>;

}  // namespace likewise::transport
