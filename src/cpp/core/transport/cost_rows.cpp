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
double inverse_length(const T* x, std::size_t d) {
  double sum = 0;
  for (std::size_t k = 0; k < d; ++k) sum += static_cast<double>(x[k]) * static_cast<double>(x[k]);
  return 1 / std::sqrt(sum);
}

}  // namespace

template <class T>
PointRows<T>::PointRows(const PointCost<T>& cost) : cost_(cost) {
  if (cost_.metric != Metric::cosine) return;
  y_scale_.resize(cost_.m);
  for (std::size_t j = 0; j < cost_.m; ++j) y_scale_[j] = inverse_length(cost_.y + j * cost_.d, cost_.d);
}

template <class T>
void PointRows<T>::take(const std::uint32_t* which, std::size_t count, const double** rows) {
  chosen_.resize(count * cost_.d);
  for (std::size_t r = 0; r < count; ++r)
    std::copy_n(cost_.x + which[r] * cost_.d, cost_.d, chosen_.data() + r * cost_.d);
  compute(chosen_.data(), count);
  for (std::size_t r = 0; r < count; ++r) rows[r] = values_.data() + r * cost_.m;
  count_ = 0;  // nothing for row()
}

template <class T>
void PointRows<T>::compute(const T* x, std::size_t count) {
  poll_interrupt();
  values_.resize(std::max(values_.size(), count * cost_.m));  // at first use: not every pass needs rows
  double* out = values_.data();
  if (cost_.metric == Metric::cosine) {  // 1 - cos = |x / |x| - y / |y||^2 / 2, without cancellation
    double x_scale[kMost];
    for (std::size_t r = 0; r < count; ++r) x_scale[r] = inverse_length(x + r * cost_.d, cost_.d);
    point_kernels<T>().squared_distances(x, x_scale, count, cost_.y, y_scale_.data(), cost_.m, cost_.d, out);
    for (std::size_t k = 0; k < count * cost_.m; ++k) out[k] *= 0.5;
  } else {
    point_kernels<T>().squared_distances(x, nullptr, count, cost_.y, nullptr, cost_.m, cost_.d, out);
    if (cost_.metric == Metric::euclidean) kernel_table().sinkhorn.square_roots(out, count * cost_.m);
  }
}

template class PointRows<float>;
template class PointRows<double>;

}  // namespace likewise::transport
