#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "core/thread_pool.hpp"
#include "core/transport/exact_kernels.hpp"

namespace likewise::transport {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
constexpr double kUnits = 0x1p60;         // of a mass that is no whole number of anything
constexpr double kExactIntegers = 0x1p53;
constexpr std::size_t kMostNodes = std::size_t{1} << 30;

double checked_mass(span<const double> weights, const char* name) {
  double mass = 0;
  for (std::size_t i = 0; i < weights.size; ++i) {
    if (!(weights[i] >= 0 && weights[i] < kInfinity))
      throw value_error(std::string(name) + ": expected finite weights >= 0, got " + std::to_string(weights[i]) +
                        " at position " + std::to_string(i));
    mass += weights[i];
  }
  if (!(mass > 0 && mass < kInfinity))
    throw value_error(std::string(name) + ": expected a finite mass above 0, got " + std::to_string(mass));
  return mass;
}

bool whole(span<const double> weights) {
  return std::all_of(weights.begin(), weights.end(), [](double w) { return w == std::floor(w); });
}

/// The number of positive weights if they are all equal, else 0.
std::int64_t count_equal(span<const double> weights) {
  double positive = 0;
  std::int64_t count = 0;
  for (const double w : weights) {
    if (w == 0) continue;
    if (positive != 0 && w != positive) return 0;
    positive = w;
    ++count;
  }
  return count;
}

}  // namespace

void NetworkSimplex::count_units(span<const double> a, span<const double> b) {
  const double mass = checked_mass(a, "a"), other = checked_mass(b, "b");
  if (std::abs(mass - other) > 1e-9 * std::max(mass, other))
    throw value_error("b: expected the mass of a (" + std::to_string(mass) + "), got " + std::to_string(other));
  supply_.resize(a.size);
  demand_.resize(b.size);
  const auto count = [](span<const double> weights, double units, std::vector<std::int64_t>& counts) {
    for (std::size_t i = 0; i < weights.size; ++i) counts[i] = std::llround(weights[i] * units);
  };
  const auto equal_a = count_equal(a), equal_b = count_equal(b);
  if (mass == other && mass <= kExactIntegers && whole(a) && whole(b)) {
    unit_ = 1;
    count(a, 1, supply_);
    count(b, 1, demand_);
  } else if (equal_a > 0 && equal_b > 0) {  // n_b units from each row, n_a to each column, but for their divisor
    const std::int64_t divisor = std::gcd(equal_a, equal_b);
    for (std::size_t i = 0; i < a.size; ++i) supply_[i] = a[i] > 0 ? equal_b / divisor : 0;
    for (std::size_t j = 0; j < b.size; ++j) demand_[j] = b[j] > 0 ? equal_a / divisor : 0;
    unit_ = mass / (static_cast<double>(equal_a) * static_cast<double>(equal_b / divisor));
  } else {
    unit_ = mass / kUnits;
    // Division first: 2^60 over a tiny mass is not finite.
    for (std::size_t i = 0; i < a.size; ++i) supply_[i] = std::llround(a[i] / mass * kUnits);
    for (std::size_t j = 0; j < b.size; ++j) demand_[j] = std::llround(b[j] / other * kUnits);
    // What rounding left over goes to the largest of the other side, of whose weight it is no more than rounding.
    const std::int64_t rest = std::accumulate(supply_.begin(), supply_.end(), std::int64_t{0}) -
                              std::accumulate(demand_.begin(), demand_.end(), std::int64_t{0});
    *std::max_element(demand_.begin(), demand_.end()) += rest;
  }
}

void NetworkSimplex::link(Index node, Index next) {
  next_[node] = next;
  nodes_[next].previous = node;
}

/// Potentials from the root on: what pivots have added to them is no longer in them.
void NetworkSimplex::refresh_potentials() {
  for (Index node = next_[root_]; node != root_; node = next_[node])
    potential_[node] = cost_[node] - potential_[nodes_[node].parent];
}

double NetworkSimplex::tolerance(std::size_t i, std::size_t column, double cost) const {
  return rounding_ * (std::abs(potential_[i]) + std::abs(potential_[n_ + column]) + std::abs(cost));
}

/// The column of the row's most negative reduced cost, m if there is none beyond rounding.
template <class T>
std::size_t NetworkSimplex::entering_column(const T* row, std::size_t i) const {
  const double* const v = potential_.data() + n_;
  const kernels::ExactKernels<T>& kernel = exact_kernels<T>();
  const double least = kernel.least_difference(row, v, m_);
  if (!(least < potential_[i])) return m_;
  std::size_t j = kernel.first_at_most(row, v, m_, least);
  if (j == m_) return m_;
  return potential_[i] - least > tolerance(i, j, static_cast<double>(row[j])) ? j : m_;
}

void NetworkSimplex::pivot(Index row, Index column, double cost) {
  // Flow runs from the row to the column and back through the tree. It falls on arcs of rows above `row` and of columns
  // above `column`. Of the arcs that run empty first, the last one on the way from the paths' meeting point leaves.
  constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
  std::int64_t least_x = kNone, least_y = kNone;
  Index x = row, y = column, leaving_x = row, leaving_y = column;
  while (x != y) {  // a node above another has the larger subtree
    if (nodes_[x].size <= nodes_[y].size) {
      if (is_row(x) && flow_[x] < least_x) {
        least_x = flow_[x];
        leaving_x = x;
      }
      x = nodes_[x].parent;
    } else {
      if (!is_row(y) && flow_[y] <= least_y) {
        least_y = flow_[y];
        leaving_y = y;
      }
      y = nodes_[y].parent;
    }
  }
  const Index meeting = x;
  const std::int64_t flow = std::min(least_x, least_y);
  if (flow > 0) {
    for (x = row; x != meeting; x = nodes_[x].parent) flow_[x] += is_row(x) ? -flow : flow;
    for (y = column; y != meeting; y = nodes_[y].parent) flow_[y] += is_row(y) ? flow : -flow;
  }
  const bool above_column = least_y <= least_x;
  const Index leaving = above_column ? leaving_y : leaving_x;
  const Index top = above_column ? column : row, anchor = above_column ? row : column;
  const Index size = nodes_[leaving].size;
  for (x = nodes_[leaving].parent; x != meeting; x = nodes_[x].parent) nodes_[x].size -= size;
  for (x = anchor; x != meeting; x = nodes_[x].parent) nodes_[x].size += size;
  rehang(top, leaving, anchor, flow, cost);

  const double shift = (cost - potential_[anchor]) - potential_[top];
  const double shifts[2] = {is_row(top) ? shift : -shift, is_row(top) ? -shift : shift};  // of rows, of columns
  x = top;
  for (Index k = 0; k < size; ++k, x = next_[x]) potential_[x] += shifts[is_row(x) ? 0 : 1];
}

/// The subtree below the leaving arc is hung up by its node `top` at `anchor`: each node on the way from `top` to
/// `leaving` becomes the last child of the one before it.
void NetworkSimplex::rehang(Index top, Index leaving, Index anchor, std::int64_t flow, double cost) {
  const Index size = nodes_[leaving].size, old_parent = nodes_[leaving].parent;
  Index node = top, parent = nodes_[top].parent;
  Index before = nodes_[node].previous, last = nodes_[node].last, node_size = nodes_[node].size;  // as they were
  Index tail = last, after = next_[last];  // the new stretch's end, and what follows the old one's
  nodes_[top].parent = anchor;
  nodes_[top].size = size;
  std::swap(flow_[top], flow);
  std::swap(cost_[top], cost);
  while (node != leaving) {
    Node& above = nodes_[parent];
    const Node old = above;
    link(tail, parent);  // of its stretch, first what stood before the node's, then what stood behind it
    tail = before;
    if (last != old.last) {
      link(tail, after);
      tail = old.last;
      after = next_[tail];
    }
    above.parent = node;
    above.size = size - node_size;
    std::swap(flow_[parent], flow);
    std::swap(cost_[parent], cost);
    node = parent;
    parent = old.parent;
    before = old.previous;
    last = old.last;
    node_size = old.size;
  }
  for (;; node = nodes_[node].parent) {
    nodes_[node].last = tail;
    if (node == top) break;
  }
  // Out of its place in the ring, and in behind the anchor.
  link(before, after);
  for (node = old_parent; nodes_[node].last == last; node = nodes_[node].parent) {
    nodes_[node].last = before;
    if (node == root_) break;
  }
  const Index follower = next_[anchor];
  link(anchor, top);
  link(tail, follower);
  for (node = anchor; nodes_[node].last == anchor; node = nodes_[node].parent) {
    nodes_[node].last = tail;
    if (node == root_) break;
  }
}

double NetworkSimplex::objective() const {
  double sum = 0, lost = 0;  // compensated (Neumaier 1974)
  for (std::size_t k = 0; k < nodes_.size(); ++k) {
    if (flow_[k] == 0) continue;
    const double term = static_cast<double>(flow_[k]) * unit_ * cost_[k], total = sum + term;
    lost += std::abs(sum) >= std::abs(term) ? (sum - total) + term : (term - total) + sum;
    sum = total;
  }
  return sum + lost;
}

template <class T>
ExactReport NetworkSimplex::solve(span<const double> a, span<const double> b, const T* cost, std::uint64_t max_iter) {
  if (a.size + b.size > kMostNodes || a.size > kMostNodes)
    throw value_error("cost: expected at most 2^30 rows and columns, got " + std::to_string(a.size) + " and " +
                      std::to_string(b.size));
  n_ = a.size;
  m_ = b.size;
  count_units(a, b);
  ExactReport report = improve(cost, max_iter);
  if (report.optimal) solve_without_the_largest(cost, max_iter, report);
  return report;
}

/// Forbidden pairs of a huge cost may stay in the tree without flow: the potentials behind them are then huge, and
/// everybody else's digits lost. So the problem is solved once more with costs cut off at what no good plan would pay.
/// If that plan pays less everywhere, it is optimal for the costs as they are, and so are its potentials.
template <class T>
void NetworkSimplex::solve_without_the_largest(const T* cost, std::uint64_t max_iter, ExactReport& report) {
  double highest = -kInfinity, lowest = kInfinity, potential = 0;
  for (std::size_t k = 0; k < nodes_.size(); ++k) {
    if (flow_[k] > 0) highest = std::max(highest, cost_[k]);
    if (std::abs(potential_[k]) < kInfinity) potential = std::max(potential, std::abs(potential_[k]));
  }
  const double many = 64 * static_cast<double>(n_ + m_);
  if (!(potential > many * std::abs(highest))) return;
  for (std::size_t e = 0; e < n_ * m_; ++e) lowest = std::min(lowest, static_cast<double>(cost[e]));
  if (!(highest > lowest)) return;  // nothing is cheaper
  const double bound = highest + many * std::max(std::abs(highest), std::abs(lowest));
  if (!(potential > bound && bound < static_cast<double>(std::numeric_limits<T>::max()))) return;
  const T most = static_cast<T>(bound);
  std::vector<T> cut(cost, cost + n_ * m_);
  for (T& c : cut) c = std::min(c, most);
  NetworkSimplex other;
  other.n_ = n_;
  other.m_ = m_;
  other.unit_ = unit_;
  other.supply_ = supply_;
  other.demand_ = demand_;
  const ExactReport found = other.improve(cut.data(), max_iter - report.n_iter);
  if (!found.optimal) return;
  for (std::size_t k = 0; k < nodes_.size(); ++k)
    if (other.flow_[k] > 0 && !(other.cost_[k] < static_cast<double>(most))) return;
  report.cost = found.cost;
  report.n_iter += found.n_iter;
  *this = std::move(other);
}

/// From the greedy tree to an optimal one.
template <class T>
ExactReport NetworkSimplex::improve(const T* cost, std::uint64_t max_iter) {
  nodes_.resize(n_ + m_);
  next_.resize(n_ + m_);
  cost_.resize(n_ + m_);
  flow_.assign(n_ + m_, 0);
  potential_.assign(n_ + m_, 0.0);
  rounding_ = 16 * kEpsilon;
  grow_first_tree(cost);

  ExactReport report;
  // Rounding may take an arc for a gain that is none. A long run of pivots without gain asks for more tolerance.
  const std::uint64_t patience = 64 * (n_ + m_);
  double before = kInfinity;
  std::size_t quiet = 0, polled = 0;
  bool fresh = true;  // potentials are as the tree says
  for (std::size_t i = 0;; i = i + 1 < n_ ? i + 1 : 0) {
    if (quiet++ == n_) {
      if (fresh) break;
      refresh_potentials();
      fresh = true;
      quiet = 1;
    }
    if (supply_[i] == 0) continue;
    if (++polled % 64 == 0) poll_interrupt();
    const T* row = cost + i * m_;
    const std::size_t column = entering_column(row, i);
    if (column == m_) continue;
    if (report.n_iter == max_iter) {
      if (fresh) {
        report.cost = objective();
        return report;
      }
      refresh_potentials();
      fresh = true;
      quiet = 0;
      continue;
    }
    pivot(static_cast<Index>(i), static_cast<Index>(n_ + column), static_cast<double>(row[column]));
    quiet = 0;
    fresh = false;
    if (++report.n_iter % (n_ + m_) == 0) {
      refresh_potentials();
      fresh = true;
    }
    if (report.n_iter % patience == 0) {
      const double now = objective();
      if (!(now < before)) rounding_ *= 2;
      before = now;
    }
  }
  report.cost = objective();
  report.optimal = true;
  return report;
}

bool NetworkSimplex::strongly_feasible() const {
  for (std::size_t j = 0; j < m_; ++j)
    if (demand_[j] > 0 && n_ + j != root_ && flow_[n_ + j] <= 0) return false;
  return true;
}

std::vector<PlanEntry> NetworkSimplex::plan() const {
  std::vector<PlanEntry> entries;
  for (std::size_t k = 0; k < nodes_.size(); ++k) {
    if (flow_[k] == 0) continue;
    const std::size_t parent = nodes_[k].parent;
    const std::size_t row = std::min(k, parent), column = std::max(k, parent) - n_;
    entries.push_back({static_cast<std::uint32_t>(row), static_cast<std::uint32_t>(column),
                       static_cast<double>(flow_[k]) * unit_});
  }
  std::sort(entries.begin(), entries.end(), [](const PlanEntry& x, const PlanEntry& y) {
    return x.row < y.row || (x.row == y.row && x.column < y.column);
  });
  return entries;
}

template <class T>
void NetworkSimplex::duals(const T* cost, double* u, double* v) const {
  const kernels::ExactKernels<T>& kernel = exact_kernels<T>();
  std::copy(potential_.begin() + static_cast<std::ptrdiff_t>(n_), potential_.end(), v);
  std::vector<double> least(m_, kInfinity);
  for (std::size_t i = 0; i < n_; ++i) {
    if (supply_[i] == 0) continue;
    if (i % 64 == 63) poll_interrupt();
    u[i] = kernel.least_difference(cost + i * m_, v, m_);
    kernel.lower_to_differences(cost + i * m_, u[i], m_, least.data());
  }
  for (std::size_t j = 0; j < m_; ++j)
    if (demand_[j] == 0) v[j] = least[j];
  for (std::size_t i = 0; i < n_; ++i)
    if (supply_[i] == 0) u[i] = kernel.least_difference(cost + i * m_, v, m_);
}

#define LIKEWISE_INSTANTIATE(T)                                                                                     \
  template ExactReport NetworkSimplex::solve(span<const double>, span<const double>, const T*, std::uint64_t);      \
  template void NetworkSimplex::duals(const T*, double*, double*) const;
LIKEWISE_INSTANTIATE(float)
LIKEWISE_INSTANTIATE(double)

}  // namespace likewise::transport
