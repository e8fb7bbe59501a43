// Soft minima of rows and columns of the cost, the half steps of every Sinkhorn-like iteration: streamed by rows,
// O(n + m) memory.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/transport/cost_rows.hpp"
#include "likewise/transport/plan_sums.hpp"

namespace likewise::transport {
namespace {

constexpr double kNothing = -1e300;  // stands for the logarithm of no weight

}  // namespace

void soft_min(const Cost& cost, span<const double> potential, double epsilon, bool transposed, double* out,
              unsigned n_threads) {
  const std::size_t n = n_rows(cost), m = n_columns(cost);
  const double scale = 1 / epsilon;
  // A large offset of the costs leaves the exponents before they are rounded.
  const double shift = std::visit([](const auto& c) { return static_cast<double>(rows_of(c).row(0)[0]); }, cost);
  std::vector<double> logs(potential.size);
  for (std::size_t k = 0; k < logs.size(); ++k) logs[k] = std::max(potential[k] * scale, kNothing);
  if (!transposed) {
    for_pieces(cost, n_threads, [&](std::size_t, std::size_t begin, std::size_t end, auto& rows) {
      const auto& kernel = cost_kernels<typename std::decay_t<decltype(rows)>::Value>();
      std::vector<double> e(m);
      for (std::size_t i = begin; i < end; ++i) {
        if (i % 16 == 0) poll_interrupt();
        const auto* row = rows.row(i);
        const double largest = kernel.max_exponent(row, logs.data(), m, shift, scale);
        const double sum = kernel.exponentials(row, logs.data(), m, shift, scale, -largest, e.data());
        out[i] = shift - epsilon * (largest + std::log(sum));
      }
    });
    return;
  }
  const std::size_t n_pieces = Pieces(n, m).n;
  std::vector<double> maxima(n_pieces * m, kNothing), sums(n_pieces * m);
  for_pieces(cost, n_threads, [&](std::size_t piece, std::size_t begin, std::size_t end, auto& rows) {
    const auto& kernel = cost_kernels<typename std::decay_t<decltype(rows)>::Value>();
    for (std::size_t i = begin; i < end; ++i) {
      if (i % 16 == 0) poll_interrupt();
      if (logs[i] > kNothing) kernel.max_with(rows.row(i), m, shift, scale, logs[i], maxima.data() + piece * m);
    }
  });
  std::vector<double> lowered(m);  // minus the largest exponent of each column
  for (std::size_t j = 0; j < m; ++j) {
    double largest = maxima[j];
    for (std::size_t p = j; p < maxima.size(); p += m) largest = std::max(largest, maxima[p]);
    lowered[j] = -largest;
  }
  for_pieces(cost, n_threads, [&](std::size_t piece, std::size_t begin, std::size_t end, auto& rows) {
    const auto& kernel = cost_kernels<typename std::decay_t<decltype(rows)>::Value>();
    std::vector<double> e(m);
    for (std::size_t i = begin; i < end; ++i) {
      if (i % 16 == 0) poll_interrupt();
      if (logs[i] <= kNothing) continue;
      kernel.exponentials(rows.row(i), lowered.data(), m, shift, scale, logs[i], e.data());
      kernel_table().sinkhorn.add_multiple(e.data(), 1.0, m, sums.data() + piece * m);
    }
  });
  for (std::size_t j = 0; j < m; ++j) {
    double sum = 0;
    for (std::size_t p = j; p < sums.size(); p += m) sum += sums[p];
    out[j] = shift - epsilon * (std::log(sum) - lowered[j]);
  }
}

}  // namespace likewise::transport
