// Uses of a plan that is never stored, and what is asked of the cost alone: streamed by rows, O(n + m) memory.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/transport/cost_rows.hpp"
#include "core/transport/plan_rows.hpp"
#include "likewise/transport/sinkhorn.hpp"

namespace likewise::transport {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::size_t kMaxPartial = std::size_t{1} << 20;  // numbers in the sums of all pieces

}  // namespace

template <class T>
void plan_rows(const Plan& plan, std::size_t first, std::size_t count, T* out, unsigned n_threads) {
  PlanRows plan_rows_of(plan);
  if (std::is_same_v<T, float>) plan_rows_of.prepare_floats();
  const std::size_t m = plan.b.size;
  std::visit(
      [&](const auto& c) {
        const Pieces pieces(count, m);
        parallel_for(pieces.n, n_threads, [&](std::size_t p) {
          auto rows = rows_of(c);
          std::vector<double> e(std::is_same_v<T, double> ? 0 : m);  // for rows that float32 may not hold on the way
          for (std::size_t i = p * pieces.rows; i < std::min(count, (p + 1) * pieces.rows); ++i) {
            if (i % 64 == 0) poll_interrupt();
            T* to = out + i * m;
            if constexpr (std::is_same_v<T, double>) {
              plan_rows_of.read(first + i, rows, to);
            } else if (!plan_rows_of.read_floats(first + i, rows, to)) {
              plan_rows_of.read(first + i, rows, e.data());
              for (std::size_t j = 0; j < m; ++j) to[j] = static_cast<T>(e[j]);
            }
          }
        });
      },
      plan.cost);
}
template void plan_rows(const Plan&, std::size_t, std::size_t, float*, unsigned);
template void plan_rows(const Plan&, std::size_t, std::size_t, double*, unsigned);

void plan_product(const Plan& plan, const double* v, std::size_t r, bool transposed, double* out, unsigned n_threads) {
  const kernels::SinkhornKernels& kernel = kernel_table().sinkhorn;
  const PlanRows plan_rows_of(plan);
  const std::size_t n = plan.a.size, m = plan.b.size;
  // The sums of a transposed product need memory for each piece: one piece where that is much.
  const bool shared = !transposed || Pieces(n, m).n * m * r <= kMaxPartial;
  std::vector<double> partial(transposed ? (shared ? Pieces(n, m).n : 1) * m * r : 0);
  for_pieces(plan.cost, shared ? n_threads : 1, [&](std::size_t piece, std::size_t begin, std::size_t end, auto& rows) {
    std::vector<double> e(m);
    double* sums = partial.data() + (shared && transposed ? piece * m * r : 0);
    for (std::size_t i = begin; i < end; ++i) {
      if (i % 16 == 0) poll_interrupt();
      plan_rows_of.read(i, rows, e.data());
      if (r == 1) {
        if (transposed) {
          kernel.add_multiple(e.data(), v[i], m, sums);
        } else {
          out[i] = kernel.dot(e.data(), v, m);
        }
        continue;
      }
      if (!transposed) std::fill_n(out + i * r, r, 0.0);
      for (std::size_t j = 0; j < m; ++j) {
        if (e[j] == 0) continue;
        if (transposed) {
          kernel.add_multiple(v + i * r, e[j], r, sums + j * r);
        } else {
          kernel.add_multiple(v + j * r, e[j], r, out + i * r);
        }
      }
    }
  });
  if (!transposed) return;
  std::copy_n(partial.begin(), m * r, out);
  for (std::size_t p = m * r; p < partial.size(); p += m * r) kernel.add_multiple(partial.data() + p, 1.0, m * r, out);
}

void least_slack(const Cost& cost, span<const double> potential, bool transposed, double* out, unsigned n_threads) {
  const std::size_t m = n_columns(cost);
  std::vector<double> maxima(transposed ? 0 : Pieces(n_rows(cost), m).n * m, -kInfinity);
  for_pieces(cost, n_threads, [&](std::size_t piece, std::size_t begin, std::size_t end, auto& rows) {
    using Rows = std::decay_t<decltype(rows)>;
    const auto& kernel = cost_kernels<typename Rows::Value>();
    for (std::size_t i = begin; i < end; ++i) {
      if (i % 64 == 0) poll_interrupt();
      if (transposed) {
        out[i] = -kernel.max_exponent(rows.row(i), potential.data, m, 0, 1);
      } else {
        kernel.max_with(rows.row(i), m, 0, 1, potential[i], maxima.data() + piece * m);
      }
    }
  });
  if (transposed) return;
  for (std::size_t j = 0; j < m; ++j) {
    double largest = maxima[j];
    for (std::size_t p = j; p < maxima.size(); p += m) largest = std::max(largest, maxima[p]);
    out[j] = -largest;
  }
}

CostStatistics cost_statistics(span<const double> a, span<const double> b, const Cost& cost, unsigned n_threads) {
  const std::size_t n = a.size, m = b.size;
  std::vector<double> nothing(m);  // 0 for columns of the support
  double mass_a = 0, mass_b = 0;
  for (const double w : a) mass_a += w;
  for (std::size_t j = 0; j < m; ++j) {
    mass_b += b[j];
    nothing[j] = b[j] > 0 ? 0 : -kInfinity;
  }
  std::vector<double> sums(n), squares(n), highest(n, -kInfinity), lowest(n, kInfinity);
  const auto each_row = [&](const auto& body) {
    for_pieces(cost, n_threads, [&](std::size_t, std::size_t begin, std::size_t end, auto& rows) {
      for (std::size_t i = begin; i < end; ++i) {
        if (i % 64 == 0) poll_interrupt();
        if (a[i] > 0) body(i, rows.row(i));
      }
    });
  };
  each_row([&](std::size_t i, const auto* row) {
    const auto& kernel = cost_kernels<std::decay_t<decltype(*row)>>();
    sums[i] = a[i] / mass_a * kernel.weighted_cost(row, b.data, m, 0);
    highest[i] = kernel.max_exponent(row, nothing.data(), m, 0, -1);
    lowest[i] = -kernel.max_exponent(row, nothing.data(), m, 0, 1);
  });
  CostStatistics found;
  for (const double v : sums) found.mean += v / mass_b;
  found.largest = *std::max_element(highest.begin(), highest.end());
  found.smallest = *std::min_element(lowest.begin(), lowest.end());
  const double scale = found.largest - found.smallest;  // squares of scaled differences do not overflow
  if (!(scale > 0)) return found;
  each_row([&](std::size_t i, const auto* row) {
    double sum = 0;
    for (std::size_t j = 0; j < m; ++j) {
      const double difference = (static_cast<double>(row[j]) - found.mean) / scale;
      sum += b[j] * difference * difference;
    }
    squares[i] = a[i] / mass_a * sum;
  });
  for (const double v : squares) found.deviation += v / mass_b;
  found.deviation = scale * std::sqrt(found.deviation);
  return found;
}

namespace {

/// sum_j weights_j d(x, y_j)/dx, d the metric.
template <class T>
void add_gradient(const PointCost<T>& c, std::size_t i, const double* row, const double* weights, double* out) {
  const T* x = c.x + i * c.d;
  double own = 0, along = 0;  // |x|^2; sum of the weighted cosines
  for (std::size_t k = 0; k < c.d; ++k) own += static_cast<double>(x[k]) * static_cast<double>(x[k]);
  for (std::size_t j = 0; j < c.m; ++j) {
    if (weights[j] == 0) continue;
    const T* y = c.y + j * c.d;
    if (c.metric == Metric::cosine) {
      double other = 0;
      for (std::size_t k = 0; k < c.d; ++k) other += static_cast<double>(y[k]) * static_cast<double>(y[k]);
      const double factor = weights[j] / std::sqrt(own * other);
      along += weights[j] * (1 - row[j]);
      for (std::size_t k = 0; k < c.d; ++k) out[k] -= factor * static_cast<double>(y[k]);
    } else {
      if (c.metric == Metric::euclidean && row[j] == 0) continue;  // 0 is a subgradient where points meet
      const double factor = weights[j] * (c.metric == Metric::euclidean ? 1 / row[j] : 2);
      for (std::size_t k = 0; k < c.d; ++k)
        out[k] += factor * (static_cast<double>(x[k]) - static_cast<double>(y[k]));
    }
  }
  if (c.metric == Metric::cosine)
    for (std::size_t k = 0; k < c.d; ++k) out[k] += along / own * static_cast<double>(x[k]);
}

}  // namespace

void point_gradient(const Plan& plan, double* out, unsigned n_threads) {
  const PlanRows plan_rows_of(plan);
  std::visit(
      [&](const auto& c) {
        if constexpr (std::is_same_v<std::decay_t<decltype(c)>, PointCost<float>> ||
                      std::is_same_v<std::decay_t<decltype(c)>, PointCost<double>>) {
          std::fill_n(out, c.n * c.d, 0.0);
          for_pieces(plan.cost, n_threads, [&](std::size_t, std::size_t begin, std::size_t end, auto& rows) {
            if constexpr (std::is_same_v<typename std::decay_t<decltype(rows)>::Value, double>) {
              std::vector<double> e(c.m);
              for (std::size_t i = begin; i < end; ++i) {
                poll_interrupt();
                plan_rows_of.read(i, rows, e.data());
                add_gradient(c, i, rows.row(i), e.data(), out + i * c.d);
              }
            }
          });
        } else {
          throw value_error("cost: expected points x and y, got a matrix");
        }
      },
      plan.cost);
}

}  // namespace likewise::transport
