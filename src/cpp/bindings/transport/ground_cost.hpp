// The cost as a binding takes it: a matrix, or points of two sides and a metric.
#pragma once
#include <string>

#include "bindings/arrays.hpp"
#include "likewise/transport/ground_cost.hpp"

namespace likewise::bindings {

transport::Metric metric_of(const std::string& name);

struct GroundCostArgument {
  GroundCostArgument(const pybind11::object& cost, const pybind11::object& x, const pybind11::object& y,
                     const std::string& metric);

  transport::Cost cost;
  std::size_t n = 0, m = 0, d = 0;

 private:
  pybind11::object owners_[2];
};

}  // namespace likewise::bindings
