// Squared distances of points with few coordinates as |x|^2 + |y|^2 - 2 x y, seen from the middle of the points: the
// exponents of a pass then take one multiply-add a coordinate, and no memory for a row of costs.
#pragma once
#include <cstddef>
#include <vector>

#include "likewise/transport/ground_cost.hpp"

namespace likewise::transport {

class ExpandedSquares {
 public:
  /// Holds nothing where the cost is not of that kind. `stride`: m, filled up to a multiple of kernels::kPad.
  ExpandedSquares(const Cost& cost, std::size_t stride);

  /// Sets the exponents: own + potential_j - (|x_i - y_j|^2 - shift) * scale. False where there is nothing, or where
  /// the squares are so large in units of the exponents that differences of them are not exact enough.
  bool begin(const std::vector<double>& potential, double shift, double scale);

  /// e (count <= kRows rows of `stride` numbers) = exp(exponent) for rows first, ..., with their own potentials; their
  /// sums. For several threads at a time.
  void exponentials(std::size_t first, std::size_t count, const double* own, float* e, double* sums) const;
  static constexpr std::size_t kRows = 8;

 private:
  template <class T>
  void read(const PointCost<T>& cost);

  const Cost& cost_;
  const std::size_t stride_;
  std::size_t d_ = 0;
  double largest_ = 0, scale_ = 0, shift_ = 0;
  std::vector<double> middle_, y_, y_squares_, potential_;  // y: d rows of `stride` numbers
};

}  // namespace likewise::transport
