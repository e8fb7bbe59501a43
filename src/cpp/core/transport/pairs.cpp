#include "core/transport/pairs.hpp"

#include <algorithm>
#include <cmath>

#include "core/transport/cost_rows.hpp"
#include "core/transport/floats.hpp"

namespace likewise::transport {
namespace {

constexpr double kNothing = -1e300;  // an exponent whose exponential is 0
constexpr double kLight = 1e-200;    // columns of less weight take no part in the passes
constexpr double kSafe = 1e200;      // sums within this factor of 1 are good
constexpr double kLeastSum = 1e-20;  // of a row: exponents below -100 are left out, and may count where it is less
constexpr double kFloatLight = 1e-25, kFloatSafe = 1e25;  // the same for float32
constexpr std::size_t kFlush = 128;  // rows after which float32 sums go to float64: longer ones stall near 1e-6

double total(span<const double> values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum;
}

bool is_safe(double sum) { return sum > 1 / kSafe && sum < kSafe; }

}  // namespace

Pairs::Pairs(const SinkhornProblem& problem, unsigned n_threads)
    : problem_(problem),
      n_threads_(n_threads),
      constrained_(std::isinf(problem.rho_a) && std::isinf(problem.rho_b)),
      mass_(total(problem.a)),
      log_b_(problem.b.size),
      potential_(problem.b.size),
      columns_(problem.b.size),
      partial_(Pieces(problem.a.size, problem.b.size).n * stride()),
      squares_(problem.cost, stride()) {
  for (std::size_t j = 0; j < log_b_.size(); ++j) log_b_[j] = problem.b[j] > 0 ? std::log(problem.b[j]) : kNothing;
  std::visit(
      [&](const auto& c) {
        auto rows = rows_of(c);
        double lowest = std::numeric_limits<double>::infinity(), highest = -lowest, sum = 0;
        for (const std::size_t i : {std::size_t{0}, c.n / 2, c.n - 1}) {
          const auto* row = rows.row(i);
          for (std::size_t j = 0; j < c.m; ++j) {
            lowest = std::min(lowest, static_cast<double>(row[j]));
            highest = std::max(highest, static_cast<double>(row[j]));
          }
          for (std::size_t j = 0; j < c.m; ++j) sum += static_cast<double>(row[j]) - lowest;
        }
        // Any shift is right where marginals are constraints; elsewhere potentials mean what they are.
        if (constrained_) shift_ = lowest;
        spread_ = highest - lowest;
        typical_ = sum / (3 * static_cast<double>(c.m));
        if (!std::isfinite(spread_))
          throw value_error("cost: expected finite numbers whose differences are finite, got differences of " +
                            std::to_string(spread_));
      },
      problem.cost);
}

void Pairs::set_epsilon(double epsilon) {
  epsilon_ = epsilon;
  scale_ = 1 / epsilon;
  factor_a_ = std::isinf(problem_.rho_a) ? 1 : problem_.rho_a / (problem_.rho_a + epsilon);
  factor_b_ = std::isinf(problem_.rho_b) ? 1 : problem_.rho_b / (problem_.rho_b + epsilon);
}

void Pairs::rescale(double epsilon, std::vector<double>& phi, std::vector<double>& gamma) {
  const double ratio = epsilon_ / epsilon;
  for (double& v : phi) v *= ratio;
  for (double& v : gamma) v *= ratio;
  set_epsilon(epsilon);
}

void Pairs::from_potentials(span<const double> f, span<const double> g, std::vector<double>& phi,
                            std::vector<double>& gamma) const {
  for (std::size_t i = 0; i < f.size; ++i) phi[i] = (f[i] - shift_ / 2) / epsilon_;
  for (std::size_t j = 0; j < g.size; ++j) gamma[j] = (g[j] - shift_ / 2) / epsilon_;
}

double Pairs::density(const std::vector<double>& gamma, double cut) {
  const std::vector<double>& potential = potential_of(gamma);
  const std::size_t m = gamma.size();
  return std::visit(
      [&](const auto& c) {
        auto rows = rows_of(c);
        const auto& kernel = cost_kernels<typename decltype(rows)::Value>();
        const std::size_t n_rows = std::min<std::size_t>(c.n, 16);
        std::vector<std::uint32_t> found(m);
        std::vector<double> e(m);
        std::size_t n_found = 0;
        for (std::size_t k = 0; k < n_rows; ++k) {
          const auto* row = rows.row(k * c.n / n_rows);
          const double top = kernel.max_exponent(row, potential.data(), m, shift_, scale_);
          const double sum = kernel.exponentials(row, potential.data(), m, shift_, scale_, -top, e.data());
          n_found += kernel.find_above(row, potential.data(), m, shift_, scale_, -top - std::log(sum), cut,
                                       found.data());
        }
        return static_cast<double>(n_found) / (static_cast<double>(n_rows) * static_cast<double>(m));
      },
      problem_.cost);
}

double Pairs::pass(const std::vector<double>& gamma, std::vector<double>& phi, std::vector<double>& image) {
  const kernels::SinkhornKernels& kernel = kernel_table().sinkhorn;
  const std::size_t m = gamma.size();
  for (std::size_t j = 0; j < m; ++j) potential_[j] = problem_.b[j] > kLight ? gamma[j] + log_b_[j] : kNothing;
  std::fill(partial_.begin(), partial_.end(), 0.0);
  for_pieces(problem_.cost, n_threads_, [&](std::size_t piece, std::size_t begin, std::size_t end, auto& rows) {
    using Rows = std::decay_t<decltype(rows)>;
    const auto& row_kernel = cost_kernels<typename Rows::Value>();
    std::vector<double> e(m);
    double* sums = partial_.data() + piece * stride();
    for (std::size_t i = begin; i < end; ++i) {
      const auto* row = rows.row(i);
      double sum = row_kernel.exponentials(row, potential_.data(), m, shift_, scale_, phi[i], e.data());
      if (!(sum > kLeastSum && sum < kSafe)) {
        phi[i] = -row_kernel.max_exponent(row, potential_.data(), m, shift_, scale_);
        sum = row_kernel.exponentials(row, potential_.data(), m, shift_, scale_, phi[i], e.data());
      }
      const double fresh = factor_a_ * (phi[i] - std::log(sum));
      double factor = problem_.a[i] / sum;
      if (factor_a_ != 1) {
        if (std::abs(fresh - phi[i]) > 100) {  // unbalanced, far away: the factor might overflow
          row_kernel.exponentials(row, potential_.data(), m, shift_, scale_, fresh, e.data());
          factor = problem_.a[i];
        } else {
          factor = problem_.a[i] * std::exp(fresh - phi[i]);
        }
      }
      phi[i] = fresh;
      if (factor > 0) kernel.add_multiple(e.data(), factor, m, sums);
      if (i % 64 == 0) poll_interrupt();
    }
  });
  std::copy_n(partial_.begin(), m, columns_.begin());
  for (std::size_t p = stride(); p < partial_.size(); p += stride())
    kernel.add_multiple(partial_.data() + p, 1.0, m, columns_.data());

  double error = 0;
  bool safe = true;
  for (std::size_t j = 0; j < m; ++j) {
    if (problem_.b[j] <= kLight) {
      image[j] = gamma[j];
      continue;
    }
    const double wanted =
        factor_b_ == 1 ? problem_.b[j] : problem_.b[j] * std::exp(-gamma[j] * epsilon_ / problem_.rho_b);
    error += std::abs(columns_[j] - wanted);
    const double ratio = problem_.b[j] / columns_[j];
    safe = safe && is_safe(ratio);
    image[j] = factor_b_ * (gamma[j] + std::log(ratio));
  }
  if (!safe) column_potentials(phi, image);
  return error / mass_;
}

void Pairs::overlaps(const std::vector<double>& gamma, const std::vector<double>& phi, std::vector<double>& out) {
  const kernels::SinkhornKernels& kernel = kernel_table().sinkhorn;
  const std::size_t m = gamma.size();
  for (std::size_t j = 0; j < m; ++j) potential_[j] = problem_.b[j] > kLight ? gamma[j] + log_b_[j] : kNothing;
  std::fill(out.begin(), out.end(), 0.0);
  std::vector<double> e(m);
  std::visit(
      [&](const auto& c) {
        auto rows = rows_of(c);
        const auto& row_kernel = cost_kernels<typename decltype(rows)::Value>();
        for (std::size_t i = 0; i < phi.size(); ++i) {
          if (i % 16 == 0) poll_interrupt();
          if (problem_.a[i] <= 0) continue;
          row_kernel.exponentials(rows.row(i), potential_.data(), m, shift_, scale_, phi[i], e.data());
          for (std::size_t j = 0; j < m; ++j)
            if (e[j] > 0) kernel.add_multiple(e.data(), problem_.a[i] * e[j], j + 1, out.data() + j * m);
        }
      },
      problem_.cost);
}

const std::vector<double>& Pairs::potential_of(const std::vector<double>& gamma) {
  for (std::size_t j = 0; j < gamma.size(); ++j)
    potential_[j] = problem_.b[j] > kFloatLight ? gamma[j] + log_b_[j] : kNothing;
  return potential_;
}

double Pairs::fresh_potential(double phi, double sum) const { return factor_a_ * (phi - std::log(sum)); }

float Pairs::row_factor(std::size_t i, double phi, double sum) const {
  const double factor = factor_a_ == 1 ? 1 / sum : std::exp(fresh_potential(phi, sum) - phi);
  return static_cast<float>(problem_.a[i] * factor);
}

double Pairs::float_pass(const std::vector<double>& gamma, std::vector<double>& phi, std::vector<double>& image,
                         float* kernel, std::vector<double>& row_sums) {
  const kernels::ScalingKernels& scaling = kernel_table().scaling;
  const std::size_t m = gamma.size(), width = stride();
  const std::vector<double>& potential = potential_of(gamma);
  const bool expanded = squares_.begin(potential, shift_, scale_);
  const Pieces pieces(phi.size(), m);
  std::fill(partial_.begin(), partial_.end(), 0.0);
  std::vector<char> good(pieces.n, 1);
  for_pieces(problem_.cost, n_threads_, [&](std::size_t piece, std::size_t begin, std::size_t end, auto& rows) {
    using Rows = std::decay_t<decltype(rows)>;
    const auto& row_kernel = cost_kernels<typename Rows::Value>();
    constexpr std::size_t together = ExpandedSquares::kRows;
    Floats columns(width, 0.0f), own(kernel == nullptr ? together * width : 0);
    for (std::size_t i = begin; i < end; i += together) {
      const std::size_t count = std::min(together, end - i);
      float* e = kernel == nullptr ? own.data() : kernel + i * width;
      float factors[together];
      if (expanded) squares_.exponentials(i, count, phi.data() + i, e, row_sums.data() + i);
      for (std::size_t r = 0; r < count; ++r) {
        if (!expanded)
          row_sums[i + r] = row_kernel.float_exponentials(rows.row(i + r), potential.data(), m, shift_, scale_,
                                                          phi[i + r], e + r * width);
        if (!(row_sums[i + r] > 1 / kFloatSafe && row_sums[i + r] < kFloatSafe)) {
          good[piece] = 0;
          return;
        }
        factors[r] = row_factor(i + r, phi[i + r], row_sums[i + r]);
      }
      for (std::size_t r = 0; r < count; r += 4)
        scaling.add_rows(e + r * width, width, std::min<std::size_t>(4, count - r), factors + r, width,
                         columns.data());
      if ((i - begin) % kFlush == kFlush - together || i + together >= end) {
        scaling.flush(columns.data(), width, partial_.data() + piece * width);
        poll_interrupt();
      }
    }
  });
  if (std::any_of(good.begin(), good.end(), [](char v) { return v == 0; }))
    return std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < phi.size(); ++i) phi[i] = fresh_potential(phi[i], row_sums[i]);
  for (std::size_t p = 1; p < pieces.n; ++p)
    kernel_table().sinkhorn.add_multiple(partial_.data() + p * width, 1.0, width, partial_.data());
  return finish_columns(partial_, gamma, image);
}

double Pairs::finish_columns(const std::vector<double>& sums, const std::vector<double>& gamma,
                             std::vector<double>& image) const {
  if (factor_b_ == 1)
    return kernel_table().scaling.column_step(sums.data(), problem_.b.data, gamma.data(), gamma.size(), kFloatLight,
                                              image.data()) /
           mass_;
  double error = 0;
  for (std::size_t j = 0; j < gamma.size(); ++j) {
    const double b = problem_.b[j];
    image[j] = gamma[j];
    if (b <= kFloatLight) continue;
    if (!(sums[j] > b / kFloatSafe)) return std::numeric_limits<double>::infinity();
    error += std::abs(sums[j] - b * std::exp(-gamma[j] * epsilon_ / problem_.rho_b));
    image[j] = factor_b_ * (gamma[j] + std::log(b / sums[j]));
  }
  return error / mass_;
}

void Pairs::column_potentials(const std::vector<double>& phi, std::vector<double>& image) {
  // The largest exponent of each column first, then the sum: no overflow, and no underflow of a whole column.
  const std::size_t m = image.size();
  std::vector<double> maxima(partial_.size() / stride() * m, kNothing);
  for_pieces(problem_.cost, n_threads_, [&](std::size_t piece, std::size_t begin, std::size_t end, auto& rows) {
    using Rows = std::decay_t<decltype(rows)>;
    const auto& kernel = cost_kernels<typename Rows::Value>();
    for (std::size_t i = begin; i < end; ++i)
      if (problem_.a[i] > 0)
        kernel.max_with(rows.row(i), m, shift_, scale_, phi[i] + std::log(problem_.a[i]), maxima.data() + piece * m);
  });
  for (std::size_t p = m; p < maxima.size(); p += m)
    for (std::size_t j = 0; j < m; ++j) maxima[j] = std::max(maxima[j], maxima[p + j]);
  maxima.resize(m);
  for (double& v : maxima) v = -v;
  std::fill(partial_.begin(), partial_.end(), 0.0);
  for_pieces(problem_.cost, n_threads_, [&](std::size_t piece, std::size_t begin, std::size_t end, auto& rows) {
    using Rows = std::decay_t<decltype(rows)>;
    const auto& kernel = cost_kernels<typename Rows::Value>();
    std::vector<double> e(m);
    for (std::size_t i = begin; i < end; ++i) {
      if (problem_.a[i] <= 0) continue;
      kernel.exponentials(rows.row(i), maxima.data(), m, shift_, scale_, phi[i] + std::log(problem_.a[i]), e.data());
      kernel_table().sinkhorn.add_multiple(e.data(), 1.0, m, partial_.data() + piece * stride());
    }
  });
  for (std::size_t j = 0; j < m; ++j) {
    double sum = 0;
    for (std::size_t p = j; p < partial_.size(); p += stride()) sum += partial_[p];
    image[j] = factor_b_ * (maxima[j] - std::log(sum));
  }
}

void Pairs::complete(const std::vector<double>& phi, std::vector<double>& gamma) {
  const auto light = [](double weight) { return weight <= kFloatLight; };
  if (std::none_of(problem_.b.begin(), problem_.b.end(), light)) return;
  std::vector<double> image(gamma.size());
  column_potentials(phi, image);
  for (std::size_t j = 0; j < gamma.size(); ++j)
    if (light(problem_.b[j])) gamma[j] = image[j];
}

SinkhornReport Pairs::evaluate(std::vector<double>& phi, std::vector<double>& gamma, span<double> f, span<double> g) {
  const kernels::SinkhornKernels& kernel = kernel_table().sinkhorn;
  const std::size_t n = phi.size(), m = gamma.size();
  if (constrained_) {
    const double move =
        (kernel.dot(problem_.b.data, gamma.data(), m) - kernel.dot(problem_.a.data, phi.data(), n)) / (2 * mass_);
    for (double& v : phi) v += move;
    for (double& v : gamma) v -= move;
  }
  for (std::size_t i = 0; i < n; ++i) f[i] = phi[i] * epsilon_ + shift_ / 2;
  for (std::size_t j = 0; j < m; ++j) {
    g[j] = gamma[j] * epsilon_ + shift_ / 2;
    potential_[j] = problem_.b[j] > 0 ? gamma[j] + log_b_[j] : kNothing;
  }
  std::fill(partial_.begin(), partial_.end(), 0.0);
  std::vector<double> row_sums(n), row_costs(n);
  for_pieces(problem_.cost, n_threads_, [&](std::size_t piece, std::size_t begin, std::size_t end, auto& rows) {
    using Rows = std::decay_t<decltype(rows)>;
    const auto& row_kernel = cost_kernels<typename Rows::Value>();
    for (std::size_t i = begin; i < end; ++i) {
      if (problem_.a[i] <= 0) continue;
      row_sums[i] = row_kernel.add_plan(rows.row(i), potential_.data(), m, shift_, scale_, phi[i], problem_.a[i],
                                        partial_.data() + piece * stride(), &row_costs[i]);
      if (i % 64 == 0) poll_interrupt();
    }
  });
  std::copy_n(partial_.begin(), m, columns_.begin());
  for (std::size_t p = stride(); p < partial_.size(); p += stride())
    kernel.add_multiple(partial_.data() + p, 1.0, m, columns_.data());

  SinkhornReport report;
  // What a side adds to the error and to the value: sum_i potential_i r_i, and rho KL(r | weights).
  const auto measure = [&](span<const double> weights, span<const double> sums, const std::vector<double>& unit,
                           const double* potential, double rho) {
    for (std::size_t i = 0; i < weights.size; ++i) {
      const double wanted = std::isinf(rho) ? weights[i] : weights[i] * std::exp(-unit[i] * epsilon_ / rho);
      report.marginal_error += std::abs(sums[i] - wanted);
      report.regularised_cost += potential[i] * sums[i];
      if (!std::isinf(rho)) {
        const double entropy = sums[i] > 0 ? sums[i] * std::log(sums[i] / weights[i]) : 0;
        report.regularised_cost += rho * (entropy - sums[i] + weights[i]);
      }
    }
  };
  measure(problem_.a, row_sums, phi, f.data, problem_.rho_a);
  measure(problem_.b, columns_, gamma, g.data, problem_.rho_b);
  report.mass = total(row_sums);
  report.cost = total(row_costs) + shift_ * report.mass;
  report.regularised_cost += epsilon_ * (mass_ * total(problem_.b) - report.mass);
  report.marginal_error /= mass_;
  return report;
}

}  // namespace likewise::transport
