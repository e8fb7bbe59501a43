#include "likewise/transport/sinkhorn_batch.hpp"

#include <string>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/transport/plan_arguments.hpp"
#include "bindings/transport/sinkhorn.hpp"

namespace py = pybind11;

namespace likewise::bindings {
namespace {

using namespace transport;

/// Problems whose arrays lie end to end. Sizes are read once: another thread may change the caller's arrays meanwhile.
struct BatchArguments {
  Array<const double> a, b;
  py::object owners[2];
  std::vector<SinkhornProblem> problems;
  std::size_t n_rows = 0, n_columns = 0;

  BatchArguments(const py::object& rows_, const py::object& columns_, const py::object& a_, const py::object& b_,
                 const py::object& cost, const py::object& x, const py::object& y, const std::string& metric)
      : a(input<double>(a_, "a")), b(input<double>(b_, "b")) {
    const Array<const std::int64_t> rows = input<std::int64_t>(rows_, "n_rows"),
                                    columns = input<std::int64_t>(columns_, "n_columns");
    expect_size(columns, "n_columns", rows.size);
    problems.resize(rows.size);
    std::size_t n_pairs = 0;
    for (std::size_t k = 0; k < rows.size; ++k) {
      const std::int64_t n = rows.data[k], m = columns.data[k];
      const auto refuse = [&](const char* argument, std::int64_t size) {
        return boundary_error(std::string(argument) + ": expected sizes from 1 to 2^31, got " + std::to_string(size) +
                              " at position " + std::to_string(k));
      };
      if (n < 1 || n > kMostPoints) throw refuse("n_rows", n);
      if (m < 1 || m > kMostPoints) throw refuse("n_columns", m);
      problems[k].a.size = static_cast<std::size_t>(n);
      problems[k].b.size = static_cast<std::size_t>(m);
      if (__builtin_add_overflow(n_rows, problems[k].a.size, &n_rows) ||
          __builtin_add_overflow(n_columns, problems[k].b.size, &n_columns) ||
          __builtin_add_overflow(n_pairs, problems[k].a.size * problems[k].b.size, &n_pairs))
        throw boundary_error("n_rows: expected sizes whose sums 64 bits hold, got larger ones");
    }
    expect_size(a, "a", n_rows);
    expect_size(b, "b", n_columns);
    const double *left = a.data, *right = b.data;
    for (SinkhornProblem& p : problems) {
      p.a.data = left;
      p.b.data = right;
      left += p.a.size;
      right += p.b.size;
    }
    if (x.is_none()) {
      if (!y.is_none()) throw boundary_error("x: expected a numpy array beside y, got NoneType");
      with_dtype<double, float>(cost, "cost", [&](auto zero) { take_costs<decltype(zero)>(cost, n_pairs); });
    } else {
      if (!cost.is_none()) throw boundary_error("cost: expected None beside x, got " + describe(cost));
      const Metric kind = metric_of(metric);
      with_dtype<double, float>(x, "x", [&](auto zero) { take_points<decltype(zero)>(x, y, kind); });
    }
  }

 private:
  static constexpr std::int64_t kMostPoints = std::int64_t{1} << 31;

  template <class T>
  void take_costs(const py::object& cost, std::size_t n_pairs) {
    const Array<const T> values = input<T>(cost, "cost");
    expect_size(values, "cost", n_pairs);
    owners[0] = values.owner;
    const T* next = values.data;
    for (SinkhornProblem& p : problems) {
      p.cost = StoredCost<T>{next, p.a.size, p.b.size};
      next += p.a.size * p.b.size;
    }
  }

  template <class T>
  void take_points(const py::object& x, const py::object& y, Metric metric) {
    const Array<const T> left = input<T>(x, "x", 2), right = input<T>(y, "y", 2);
    const std::size_t d = left.shape(1);
    if (left.shape(0) != n_rows)
      throw boundary_error("x: expected " + std::to_string(n_rows) + " rows, got " + describe(x));
    if (right.shape(0) != n_columns || right.shape(1) != d)
      throw boundary_error("y: expected shape [" + std::to_string(n_columns) + ", " + std::to_string(d) + "], got " +
                           describe(y));
    if (d == 0) throw boundary_error("x: expected at least 1 column, got " + describe(x));
    owners[0] = left.owner;
    owners[1] = right.owner;
    const T *from = left.data, *to = right.data;
    for (SinkhornProblem& p : problems) {
      p.cost = PointCost<T>{from, to, p.a.size, p.b.size, d, metric};
      from += p.a.size * d;
      to += p.b.size * d;
    }
  }
};

py::tuple solve(const py::object& n_rows, const py::object& n_columns, const py::object& a, const py::object& b,
                const py::object& cost, const py::object& x, const py::object& y, const std::string& metric,
                const py::object& epsilon_, const py::object& f_, const py::object& g_, double tol,
                std::size_t max_iter, const std::string& method, std::size_t anderson, unsigned n_threads) {
  BatchArguments batch(n_rows, n_columns, a, b, cost, x, y, metric);
  const auto count = static_cast<py::ssize_t>(batch.problems.size());
  const Array<const double> epsilon = input<double>(epsilon_, "epsilon");
  const Array<double> f = output<double>(f_, "f"), g = output<double>(g_, "g");
  expect_size(epsilon, "epsilon", batch.problems.size());
  expect_size(f, "f", batch.n_rows);
  expect_size(g, "g", batch.n_columns);
  for (std::size_t k = 0; k < epsilon.size; ++k) {
    batch.problems[k].epsilon = epsilon.data[k];
    if (!(batch.problems[k].epsilon > 0))
      throw boundary_error("epsilon: expected numbers above 0, got " + std::to_string(batch.problems[k].epsilon) +
                           " at position " + std::to_string(k));
  }
  const SinkhornOptions options = checked_options(tol, max_iter, method, anderson, n_threads);
  std::vector<SinkhornReport> reports;
  {
    const NativeCall call;
    reports = sinkhorn_batch(batch.problems, options, {f.data, f.size}, {g.data, g.size});
  }
  py::array_t<double> values({count, py::ssize_t{4}});
  py::array_t<std::int64_t> counts({count, py::ssize_t{2}});
  double* value = values.mutable_data();
  std::int64_t* number = counts.mutable_data();
  for (const SinkhornReport& r : reports) {
    for (const double v : {r.cost, r.regularised_cost, r.marginal_error, r.mass}) *value++ = v;
    *number++ = static_cast<std::int64_t>(r.n_iterations);
    *number++ = static_cast<std::int64_t>(r.method);
  }
  return py::make_tuple(values, counts);
}

py::array_t<double> statistics(const py::object& n_rows, const py::object& n_columns, const py::object& a,
                               const py::object& b, const py::object& cost, const py::object& x, const py::object& y,
                               const std::string& metric, unsigned n_threads) {
  const BatchArguments batch(n_rows, n_columns, a, b, cost, x, y, metric);
  std::vector<CostStatistics> found;
  {
    const NativeCall call;
    found = cost_statistics_batch(batch.problems, n_threads);
  }
  py::array_t<double> result({static_cast<py::ssize_t>(found.size()), py::ssize_t{4}});
  double* value = result.mutable_data();
  for (const CostStatistics& s : found)
    for (const double v : {s.mean, s.largest, s.deviation, s.smallest}) *value++ = v;
  return result;
}

}  // namespace

void register_transport_sinkhorn_batch(py::module_& m) {
  m.def("sinkhorn_batch", &solve, py::arg("n_rows"), py::arg("n_columns"), py::arg("a"), py::arg("b"), py::arg("cost"),
        py::arg("x"), py::arg("y"), py::arg("metric"), py::arg("epsilon"), py::arg("f"), py::arg("g"), py::arg("tol"),
        py::arg("max_iter"), py::arg("method"), py::arg("anderson"), py::arg("n_threads"),
        "Entropic plans of problems laid end to end, from the potentials in f and g: a row (cost, regularised cost, "
        "marginal error, mass) and a row (iterations, method) of each.");
  m.def("cost_statistics_batch", &statistics, py::arg("n_rows"), py::arg("n_columns"), py::arg("a"), py::arg("b"),
        py::arg("cost"), py::arg("x"), py::arg("y"), py::arg("metric"), py::arg("n_threads"),
        "A row of mean, largest, standard deviation and smallest cost of each problem.");
}

}  // namespace likewise::bindings
