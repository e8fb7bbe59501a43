#include "core/transport/expanded_squares.hpp"

#include <algorithm>
#include <type_traits>

#include "core/dispatch.hpp"

namespace likewise::transport {
namespace {

constexpr std::size_t kFew = 4, kMost = 16;                // coordinates for any number of points, and for
constexpr std::size_t kMostNumbers = std::size_t{1} << 17;  // so many coordinates of y in all
constexpr double kBinary = 1.4426950408889634;              // exponents are those of 2
constexpr double kLargest = 1e6;                            // squares, as exponents: their rounding stays below 1e-9

template <class C>
constexpr bool of_points = std::is_same_v<C, PointCost<float>> || std::is_same_v<C, PointCost<double>>;

}  // namespace

ExpandedSquares::ExpandedSquares(const Cost& cost, std::size_t stride) : cost_(cost), stride_(stride) {
  std::visit(
      [&](const auto& c) {
        if constexpr (of_points<std::decay_t<decltype(c)>>)
          if (c.metric == Metric::sqeuclidean && (c.d <= kFew || (c.d <= kMost && c.d * stride <= kMostNumbers)))
            read(c);
      },
      cost);
}

template <class T>
void ExpandedSquares::read(const PointCost<T>& c) {
  d_ = c.d;
  middle_.assign(d_, 0.0);
  y_.assign(d_ * stride_, 0.0);
  y_squares_.assign(c.m, 0.0);
  for (std::size_t k = 0; k < d_; ++k) {
    double low = static_cast<double>(c.y[k]), high = low;
    for (std::size_t j = 0; j < c.m; ++j) {
      low = std::min(low, static_cast<double>(c.y[j * d_ + k]));
      high = std::max(high, static_cast<double>(c.y[j * d_ + k]));
    }
    middle_[k] = low / 2 + high / 2;
    for (std::size_t j = 0; j < c.m; ++j) {
      const double v = static_cast<double>(c.y[j * d_ + k]) - middle_[k];
      y_[k * stride_ + j] = v;
      y_squares_[j] += v * v;
    }
  }
  largest_ = *std::max_element(y_squares_.begin(), y_squares_.end());
  for (std::size_t i = 0; i < c.n; ++i) {
    double square = 0;
    for (std::size_t k = 0; k < d_; ++k) {
      const double v = static_cast<double>(c.x[i * d_ + k]) - middle_[k];
      square += v * v;
    }
    largest_ = std::max(largest_, square);
  }
}

bool ExpandedSquares::begin(const std::vector<double>& potential, double shift, double scale) {
  if (d_ == 0 || !(largest_ * scale <= kLargest)) return false;
  scale_ = scale;
  shift_ = shift;
  potential_.assign(stride_, -1e300);
  for (std::size_t j = 0; j < potential.size(); ++j) potential_[j] = (potential[j] - y_squares_[j] * scale) * kBinary;
  return true;
}

void ExpandedSquares::exponentials(std::size_t first, std::size_t count, const double* own, float* e,
                                   double* sums) const {
  double factors[kRows * kMost], rest[kRows];
  std::visit(
      [&](const auto& c) {
        if constexpr (of_points<std::decay_t<decltype(c)>>) {
          for (std::size_t r = 0; r < count; ++r) {
            double square = 0;
            for (std::size_t k = 0; k < d_; ++k) {
              const double v = static_cast<double>(c.x[(first + r) * d_ + k]) - middle_[k];
              square += v * v;
              factors[r * d_ + k] = 2 * kBinary * scale_ * v;
            }
            rest[r] = (own[r] + (shift_ - square) * scale_) * kBinary;
          }
        }
      },
      cost_);
  kernel_table().sinkhorn.product_exponentials(factors, rest, count, y_.data(), potential_.data(), stride_, d_, e,
                                               sums);
}

}  // namespace likewise::transport
