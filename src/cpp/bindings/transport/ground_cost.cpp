#include "bindings/transport/ground_cost.hpp"

#include <algorithm>
#include <utility>

namespace py = pybind11;

namespace likewise::bindings {
namespace {

using namespace transport;

constexpr std::pair<const char*, Metric> kMetrics[] = {
    {"sqeuclidean", Metric::sqeuclidean}, {"euclidean", Metric::euclidean}, {"cosine", Metric::cosine}};

}  // namespace

Metric metric_of(const std::string& name) {
  const auto* const known = std::find_if(std::begin(kMetrics), std::end(kMetrics),
                                         [&](const auto& entry) { return name == entry.first; });
  if (known == std::end(kMetrics))
    throw boundary_error("metric: expected sqeuclidean, euclidean or cosine, got '" + name + "'");
  return known->second;
}

GroundCostArgument::GroundCostArgument(const py::object& cost_, const py::object& x_, const py::object& y_,
                                       const std::string& metric) {
  const Metric kind = metric_of(metric);
  if (x_.is_none()) {
    if (!y_.is_none()) throw boundary_error("x: expected a numpy array beside y, got NoneType");
    with_dtype<double, float>(cost_, "cost", [&](auto zero) {
      using T = decltype(zero);
      const Array<const T> values = input<T>(cost_, "cost", 2);
      n = values.shape(0);
      m = values.shape(1);
      cost = StoredCost<T>{values.data, n, m};
      owners_[0] = values.owner;
    });
  } else {
    if (!cost_.is_none()) throw boundary_error("cost: expected None beside x, got " + describe(cost_));
    with_dtype<double, float>(x_, "x", [&](auto zero) {
      using T = decltype(zero);
      const Array<const T> x = input<T>(x_, "x", 2), y = input<T>(y_, "y", 2);
      n = x.shape(0);
      m = y.shape(0);
      d = x.shape(1);
      if (y.shape(1) != d) throw boundary_error("y: expected " + std::to_string(d) + " columns, got " + describe(y_));
      cost = PointCost<T>{x.data, y.data, n, m, d, kind};
      owners_[0] = x.owner;
      owners_[1] = y.owner;
    });
  }
  if (n == 0 || m == 0) throw boundary_error("cost: expected at least one row and column, got none");
}

}  // namespace likewise::bindings
