#include "likewise/transport/plan_sums.hpp"

#include "bindings/bindings.hpp"
#include "bindings/transport/plan_arguments.hpp"

namespace py = pybind11;

namespace likewise::bindings {
namespace {

void minima(const py::object& potential_, const py::object& cost_, const py::object& x, const py::object& y,
            const std::string& metric, double epsilon, const py::object& out_, bool transpose, unsigned n_threads) {
  const Array<const double> potential = input<double>(potential_, "potential");
  const GroundCostArgument cost(cost_, x, y, metric);
  const Array<double> out = output<double>(out_, "out");
  expect_size(potential, "potential", transpose ? cost.n : cost.m);
  expect_size(out, "out", transpose ? cost.m : cost.n);
  expect_epsilon(epsilon);
  const NativeCall call;
  transport::soft_min(cost.cost, potential, epsilon, transpose, out.data, n_threads);
}

double mean(const py::object& a_, const py::object& b_, const py::object& cost_, const py::object& x,
            const py::object& y, const std::string& metric, unsigned n_threads) {
  const Array<const double> a = input<double>(a_, "a"), b = input<double>(b_, "b");
  const GroundCostArgument cost(cost_, x, y, metric);
  expect_size(a, "a", cost.n);
  expect_size(b, "b", cost.m);
  const NativeCall call;
  return transport::mean_cost(a, b, cost.cost, n_threads);
}

py::tuple sums(const py::object& f, const py::object& g, const py::object& a, const py::object& b,
               const py::object& cost, const py::object& x, const py::object& y, const std::string& metric,
               double epsilon, const py::object& alpha_, const py::object& beta_, const py::object& left_,
               const py::object& right_, const py::object& rows_, const py::object& columns_, unsigned n_threads) {
  const PlanArguments arguments(f, g, a, b, cost, x, y, metric, epsilon);
  const Array<const double> alpha = input<double>(alpha_, "alpha"), beta = input<double>(beta_, "beta"),
                            left = input<double>(left_, "left"), right = input<double>(right_, "right");
  const Array<double> rows = output<double>(rows_, "rows"), columns = output<double>(columns_, "columns");
  const std::size_t n = arguments.cost.n, m = arguments.cost.m;
  expect_size(alpha, "alpha", n);
  expect_size(beta, "beta", m);
  expect_size(left, "left", n);
  expect_size(right, "right", m);
  expect_size(rows, "rows", n);
  expect_size(columns, "columns", m);
  transport::PlanSums found;
  {
    const NativeCall call;
    found = transport::plan_sums(arguments.plan, alpha, beta, left, right, rows.data, columns.data, n_threads);
  }
  return py::make_tuple(found.mass, found.cost, found.size, found.entropy);
}

}  // namespace

void register_transport_plan_sums(py::module_& m) {
  m.def("soft_min", &minima, py::arg("potential"), py::arg("cost"), py::arg("x"), py::arg("y"), py::arg("metric"),
        py::arg("epsilon"), py::arg("out"), py::arg("transpose"), py::arg("n_threads"),
        "out_i = -epsilon log sum_j exp((potential_j - C_ij) / epsilon); transposed: of the columns.");
  m.def("mean_cost", &mean, py::arg("a"), py::arg("b"), py::arg("cost"), py::arg("x"), py::arg("y"),
        py::arg("metric"), py::arg("n_threads"), "The mean cost under the product of the weights.");
  m.def("plan_sums", &sums, py::arg("f"), py::arg("g"), py::arg("a"), py::arg("b"), py::arg("cost"), py::arg("x"),
        py::arg("y"), py::arg("metric"), py::arg("epsilon"), py::arg("alpha"), py::arg("beta"), py::arg("left"),
        py::arg("right"), py::arg("rows"), py::arg("columns"), py::arg("n_threads"),
        "Mass, <Q, C>, <Q, |C|> and sum Q log(Q / (a b)) of Q = alpha P beta + left right; its rows and columns.");
}

}  // namespace likewise::bindings
