// What it costs to move mass between the points of two sides: a stored matrix, or two clouds of points and a metric.
#pragma once
#include <cstddef>
#include <variant>

namespace likewise::transport {

enum class Metric { sqeuclidean, euclidean, cosine };

/// A matrix (n, m), row by row.
template <class T>
struct StoredCost {
  const T* values = nullptr;
  std::size_t n = 0, m = 0;
};

/// |x - y|^2, |x - y| or 1 - cos(x, y) of points x (n, d) and y (m, d), row by row. Computed where it is needed, in
/// float64; the matrix is never formed.
template <class T>
struct PointCost {
  const T* x = nullptr;
  const T* y = nullptr;
  std::size_t n = 0, m = 0, d = 0;
  Metric metric = Metric::sqeuclidean;
};

using Cost = std::variant<StoredCost<float>, StoredCost<double>, PointCost<float>, PointCost<double>>;

}  // namespace likewise::transport
