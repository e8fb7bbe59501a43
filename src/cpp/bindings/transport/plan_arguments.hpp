// The arguments that every function of a plan takes.
#pragma once
#include <string>

#include "bindings/arrays.hpp"
#include "bindings/transport/ground_cost.hpp"
#include "likewise/transport/sinkhorn.hpp"

namespace likewise::bindings {

template <class A>
void expect_size(const A& array, const char* argument, std::size_t size) {
  if (array.size != size)
    throw boundary_error(std::string(argument) + ": expected " + std::to_string(size) + " numbers, got " +
                         describe(array.owner));
}

inline void expect_epsilon(double epsilon) {
  if (!(epsilon > 0)) throw boundary_error("epsilon: expected a number above 0, got " + std::to_string(epsilon));
}

struct PlanArguments {
  Array<const double> f, g, a, b;
  GroundCostArgument cost;
  transport::Plan plan;

  PlanArguments(const pybind11::object& f_, const pybind11::object& g_, const pybind11::object& a_,
                const pybind11::object& b_, const pybind11::object& cost_, const pybind11::object& x,
                const pybind11::object& y, const std::string& metric, double epsilon)
      : f(input<double>(f_, "f")),
        g(input<double>(g_, "g")),
        a(input<double>(a_, "a")),
        b(input<double>(b_, "b")),
        cost(cost_, x, y, metric) {
    expect_size(a, "a", cost.n);
    expect_size(b, "b", cost.m);
    expect_size(f, "f", cost.n);
    expect_size(g, "g", cost.m);
    expect_epsilon(epsilon);
    plan = {a, b, f, g, cost.cost, epsilon};
  }
};

}  // namespace likewise::bindings
