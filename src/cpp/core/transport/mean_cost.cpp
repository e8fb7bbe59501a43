// The mean cost, by which most callers measure epsilon: from squared distances without looking at pairs.
#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "core/transport/cost_rows.hpp"
#include "likewise/transport/plan_sums.hpp"

namespace likewise::transport {
namespace {

double total(span<const double> values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum;
}

/// Points less one of them, as unit vectors first where only directions count: what is equal has difference 0.
template <class T>
class Cloud {
 public:
  Cloud(const T* points, span<const double> weights, std::size_t d, bool directions, const std::vector<double>& origin)
      : points_(points), weights_(weights), mass_(total(weights)), d_(d), directions_(directions), origin_(origin),
        point_(d), mean_(d) {
    for (std::size_t i = 0; i < weights_.size; ++i) {
      read(i);
      for (std::size_t k = 0; k < d_; ++k) mean_[k] += weights_[i] / mass_ * point_[k];
    }
  }
  const std::vector<double>& mean() const { return mean_; }

  /// The mean squared distance of the points from their mean.
  double spread() {
    double sum = 0;
    for (std::size_t i = 0; i < weights_.size; ++i) {
      read(i);
      double squares = 0;
      for (std::size_t k = 0; k < d_; ++k) squares += (point_[k] - mean_[k]) * (point_[k] - mean_[k]);
      sum += weights_[i] / mass_ * squares;
    }
    return sum;
  }

  static void read(const T* from, std::size_t d, bool directions, double* point) {
    double largest = 0, squares = 0;
    for (std::size_t k = 0; k < d; ++k) {
      point[k] = static_cast<double>(from[k]);
      largest = std::max(largest, std::abs(point[k]));
    }
    if (!directions) return;
    // Scaled first: squares of large or small numbers leave the range.
    for (std::size_t k = 0; k < d; ++k) squares += (point[k] / largest) * (point[k] / largest);
    for (std::size_t k = 0; k < d; ++k) point[k] = point[k] / largest / std::sqrt(squares);
  }

 private:
  void read(std::size_t i) {
    read(points_ + i * d_, d_, directions_, point_.data());
    for (std::size_t k = 0; k < d_; ++k) point_[k] -= origin_[k];
  }

  const T* points_;
  const span<const double> weights_;
  const double mass_;
  const std::size_t d_;
  const bool directions_;
  const std::vector<double>& origin_;
  std::vector<double> point_, mean_;
};

template <class T>
double mean_of_squares(const PointCost<T>& c, span<const double> a, span<const double> b) {
  const bool directions = c.metric == Metric::cosine;
  std::vector<double> origin(c.d);
  std::size_t first = 0;
  while (first + 1 < a.size && a[first] <= 0) ++first;
  Cloud<T>::read(c.x + first * c.d, c.d, directions, origin.data());
  Cloud<T> x(c.x, a, c.d, directions, origin), y(c.y, b, c.d, directions, origin);
  // No term is negative: nothing cancels.
  double sum = x.spread() + y.spread();
  for (std::size_t k = 0; k < c.d; ++k) sum += (x.mean()[k] - y.mean()[k]) * (x.mean()[k] - y.mean()[k]);
  return directions ? sum / 2 : sum;
}

}  // namespace

double mean_cost(span<const double> a, span<const double> b, const Cost& cost, unsigned n_threads) {
  if (const auto* points = std::get_if<PointCost<float>>(&cost); points && points->metric != Metric::euclidean)
    return mean_of_squares(*points, a, b);
  if (const auto* points = std::get_if<PointCost<double>>(&cost); points && points->metric != Metric::euclidean)
    return mean_of_squares(*points, a, b);
  std::vector<double> sums(a.size);
  for_pieces(cost, n_threads, [&](std::size_t, std::size_t begin, std::size_t end, auto& rows) {
    const auto& kernel = cost_kernels<typename std::decay_t<decltype(rows)>::Value>();
    for (std::size_t i = begin; i < end; ++i) {
      if (i % 64 == 0) poll_interrupt();
      if (a[i] > 0) sums[i] = a[i] * kernel.weighted_cost(rows.row(i), b.data, b.size, 0);
    }
  });
  return total(sums) / total(a) / total(b);
}

}  // namespace likewise::transport
