// Transport on the line, where the sorted order is optimal for every convex cost.
#pragma once
#include <cstddef>

namespace likewise::transport {

/// Points of one side in ascending order, and their weights in that order; null: uniform.
template <class T>
struct SortedPoints {
  const T* points;
  const double* weights;
  std::size_t size;  // >= 1
};

/// W_p^p of two sides of mass 1: the integral of |x(q) scale - y(q) scale|^p over the quantiles q. O(n + m). Where
/// weights do not sum up to 1 exactly, what the shorter side lacks is left out.
template <class T>
double sorted_transport(const SortedPoints<T>& x, const SortedPoints<T>& y, double p, double scale);

}  // namespace likewise::transport
