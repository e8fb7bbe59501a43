#include "likewise/transport/sinkhorn.hpp"

#include <algorithm>
#include <utility>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/transport/plan_arguments.hpp"
#include "bindings/transport/sinkhorn.hpp"

namespace py = pybind11;

namespace likewise::bindings {

using namespace transport;

namespace {

constexpr std::pair<const char*, SinkhornMethod> kMethods[] = {{"auto", SinkhornMethod::automatic},
                                                               {"log", SinkhornMethod::log},
                                                               {"kernel", SinkhornMethod::kernel},
                                                               {"sparse", SinkhornMethod::sparse}};

}  // namespace

SinkhornOptions checked_options(double tol, std::size_t max_iter, const std::string& method, std::size_t anderson,
                                unsigned n_threads) {
  const auto* const known = std::find_if(std::begin(kMethods), std::end(kMethods),
                                         [&](const auto& entry) { return method == entry.first; });
  if (known == std::end(kMethods))
    throw boundary_error("method: expected auto, log, kernel or sparse, got '" + method + "'");
  if (anderson > 1000)
    throw boundary_error("anderson: expected at most 1000, got " + std::to_string(anderson));
  if (!(tol > 0)) throw boundary_error("tol: expected a number above 0, got " + std::to_string(tol));
  return {tol, max_iter, known->second, anderson, n_threads};
}

namespace {

py::dict solve(const py::object& a_, const py::object& b_, const py::object& cost_, const py::object& x,
               const py::object& y, const std::string& metric, double epsilon, double rho_a, double rho_b,
               const py::object& f_, const py::object& g_, double tol, std::size_t max_iter, const std::string& method,
               std::size_t anderson, unsigned n_threads, const py::object& history_) {
  const Array<const double> a = input<double>(a_, "a"), b = input<double>(b_, "b");
  const GroundCostArgument cost(cost_, x, y, metric);
  const Array<double> f = output<double>(f_, "f"), g = output<double>(g_, "g"),
                      history = output<double>(history_, "history");
  expect_size(a, "a", cost.n);
  expect_size(b, "b", cost.m);
  expect_size(f, "f", cost.n);
  expect_size(g, "g", cost.m);
  if (history.size == 0 || history.size - 1 < max_iter)
    throw boundary_error("history: expected max_iter + 1 numbers, got " + describe(history_));
  expect_epsilon(epsilon);
  if (!(rho_a > 0)) throw boundary_error("rho_a: expected a number above 0, got " + std::to_string(rho_a));
  if (!(rho_b > 0)) throw boundary_error("rho_b: expected a number above 0, got " + std::to_string(rho_b));
  SinkhornProblem problem{a, b, cost.cost, epsilon, rho_a, rho_b};
  const SinkhornOptions options = checked_options(tol, max_iter, method, anderson, n_threads);
  SinkhornReport report;
  {
    const NativeCall call;
    report = sinkhorn(problem, options, {f.data, f.size}, {g.data, g.size}, {history.data, history.size});
  }
  py::dict result;
  result["n_iter"] = report.n_iterations;
  result["converged"] = report.converged;
  result["method"] = std::find_if(std::begin(kMethods), std::end(kMethods), [&](const auto& entry) {
                       return entry.second == report.method;
                     })->first;
  result["marginal_error"] = report.marginal_error;
  result["cost"] = report.cost;
  result["regularised_cost"] = report.regularised_cost;
  result["mass"] = report.mass;
  return result;
}

py::tuple statistics(const py::object& a_, const py::object& b_, const py::object& cost_, const py::object& x,
                     const py::object& y, const std::string& metric, unsigned n_threads) {
  const Array<const double> a = input<double>(a_, "a"), b = input<double>(b_, "b");
  const GroundCostArgument cost(cost_, x, y, metric);
  expect_size(a, "a", cost.n);
  expect_size(b, "b", cost.m);
  CostStatistics found;
  {
    const NativeCall call;
    found = cost_statistics(a, b, cost.cost, n_threads);
  }
  return py::make_tuple(found.mean, found.largest, found.deviation, found.smallest);
}

void rows(const py::object& f, const py::object& g, const py::object& a, const py::object& b, const py::object& cost,
          const py::object& x, const py::object& y, const std::string& metric, double epsilon, std::size_t i0,
          std::size_t i1, const py::object& out, unsigned n_threads) {
  const PlanArguments arguments(f, g, a, b, cost, x, y, metric, epsilon);
  if (i0 > i1 || i1 > arguments.cost.n)
    throw boundary_error("i0: expected rows below " + std::to_string(arguments.cost.n) + ", got " +
                         std::to_string(i0) + " to " + std::to_string(i1));
  const auto write = [&](auto zero) {
    using T = decltype(zero);
    const Array<T> to = output<T>(out, "out", 2);
    if (to.shape(0) != i1 - i0 || to.shape(1) != arguments.cost.m)
      throw boundary_error("out: expected shape [" + std::to_string(i1 - i0) + ", " +
                           std::to_string(arguments.cost.m) + "], got " + describe(out));
    const NativeCall call;
    plan_rows(arguments.plan, i0, i1 - i0, to.data, n_threads);
  };
  with_dtype<double, float>(out, "out", write);
}

void apply(const py::object& f, const py::object& g, const py::object& a, const py::object& b, const py::object& cost,
           const py::object& x, const py::object& y, const std::string& metric, double epsilon, const py::object& v_,
           const py::object& out_, bool transpose, unsigned n_threads) {
  const PlanArguments arguments(f, g, a, b, cost, x, y, metric, epsilon);
  const Array<const double> v = input<double>(v_, "v", 2);
  const Array<double> out = output<double>(out_, "out", 2);
  const std::size_t from = transpose ? arguments.cost.n : arguments.cost.m,
                    to = transpose ? arguments.cost.m : arguments.cost.n;
  if (v.shape(0) != from)
    throw boundary_error("v: expected " + std::to_string(from) + " rows, got " + describe(v_));
  if (out.shape(0) != to || out.shape(1) != v.shape(1))
    throw boundary_error("out: expected shape [" + std::to_string(to) + ", " + std::to_string(v.shape(1)) +
                         "], got " + describe(out_));
  const NativeCall call;
  plan_product(arguments.plan, v.data, v.shape(1), transpose, out.data, n_threads);
}

void slack(const py::object& potential_, const py::object& cost_, const py::object& x, const py::object& y,
           const std::string& metric, const py::object& out_, bool transpose, unsigned n_threads) {
  const Array<const double> potential = input<double>(potential_, "potential");
  const GroundCostArgument cost(cost_, x, y, metric);
  const Array<double> out = output<double>(out_, "out");
  expect_size(potential, "potential", transpose ? cost.m : cost.n);
  expect_size(out, "out", transpose ? cost.n : cost.m);
  const NativeCall call;
  least_slack(cost.cost, potential, transpose, out.data, n_threads);
}

void gradient(const py::object& f, const py::object& g, const py::object& a, const py::object& b, const py::object& x,
              const py::object& y, const std::string& metric, double epsilon, const py::object& out_,
              unsigned n_threads) {
  const PlanArguments arguments(f, g, a, b, py::none(), x, y, metric, epsilon);
  const Array<double> out = output<double>(out_, "out", 2);
  if (out.shape(0) != arguments.cost.n || out.shape(1) != arguments.cost.d)
    throw boundary_error("out: expected the shape of x, got " + describe(out_));
  const NativeCall call;
  point_gradient(arguments.plan, out.data, n_threads);
}

}  // namespace

void register_transport_sinkhorn(py::module_& m) {
  m.def("sinkhorn", &solve, py::arg("a"), py::arg("b"), py::arg("cost"), py::arg("x"), py::arg("y"), py::arg("metric"),
        py::arg("epsilon"), py::arg("rho_a"), py::arg("rho_b"), py::arg("f"), py::arg("g"), py::arg("tol"),
        py::arg("max_iter"), py::arg("method"), py::arg("anderson"), py::arg("n_threads"), py::arg("history"),
        "Potentials of the entropic plan, from those in f and g; a report of the iterations.");
  m.def("cost_statistics", &statistics, py::arg("a"), py::arg("b"), py::arg("cost"), py::arg("x"), py::arg("y"),
        py::arg("metric"), py::arg("n_threads"), "Mean, largest, standard deviation and smallest of the cost.");
  m.def("plan_rows", &rows, py::arg("f"), py::arg("g"), py::arg("a"), py::arg("b"), py::arg("cost"), py::arg("x"),
        py::arg("y"), py::arg("metric"), py::arg("epsilon"), py::arg("i0"), py::arg("i1"), py::arg("out"),
        py::arg("n_threads"), "Rows i0 to i1 of the plan.");
  m.def("plan_apply", &apply, py::arg("f"), py::arg("g"), py::arg("a"), py::arg("b"), py::arg("cost"), py::arg("x"),
        py::arg("y"), py::arg("metric"), py::arg("epsilon"), py::arg("v"), py::arg("out"), py::arg("transpose"),
        py::arg("n_threads"), "out = P v, or P^T v.");
  m.def("least_slack", &slack, py::arg("potential"), py::arg("cost"), py::arg("x"), py::arg("y"), py::arg("metric"),
        py::arg("out"), py::arg("transpose"), py::arg("n_threads"),
        "out_j = min_i C_ij - f_i; transposed: out_i = min_j C_ij - g_j.");
  m.def("point_gradient", &gradient, py::arg("f"), py::arg("g"), py::arg("a"), py::arg("b"), py::arg("x"),
        py::arg("y"), py::arg("metric"), py::arg("epsilon"), py::arg("out"), py::arg("n_threads"),
        "out_i = sum_j P_ij dC_ij / dx_i.");
}

}  // namespace likewise::bindings
