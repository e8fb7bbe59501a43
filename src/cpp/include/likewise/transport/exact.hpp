// Exact optimal transport: the linear program min <P, C> over P >= 0 with row sums a and column sums b.
#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "likewise/error.hpp"
#include "likewise/span.hpp"

namespace likewise::transport {

/// What one run of the network simplex came to.
struct ExactReport {
  double cost = 0;           // <P, C> of the last basis
  std::uint64_t n_iter = 0;  // pivots
  bool optimal = false;      // false only where max_iter ended the run
};

/// A positive entry of a plan.
struct PlanEntry {
  std::uint32_t row, column;
  double mass;
};

inline constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

/// The primal network simplex on the complete bipartite graph (Cunningham 1976; Bonneel et al. 2011 for transport).
///
/// The basis is a spanning tree of rows and columns, kept strongly feasible (an arc without flow points to the root),
/// so that degenerate pivots cannot cycle. Weights are counted in integer units, 2^-60 of the mass or less: flows are
/// exact. Potentials are moved with their subtree and read off the tree anew before a basis counts as optimal. The first
/// tree is real and greedy: no artificial arcs, no big M. Beside the cost matrix, which is read in place, memory is
/// O(n + m), kept from one problem to the next. One object serves one thread at a time; results depend on the problem
/// alone.
class NetworkSimplex {
 public:
  /// Solves for `cost`, row-major of shape (a.size, b.size), T float or double and finite (a NaN or infinity makes the
  /// result meaningless, nothing worse). Weights are finite, >= 0, of equal mass (to 1e-9 relative) above 0: otherwise
  /// value_error. Weights below 2^-61 of the mass count as 0. `cost` must live until `duals` has been called.
  template <class T>
  ExactReport solve(span<const double> a, span<const double> b, const T* cost, std::uint64_t max_iter = kNoLimit);

  /// The positive entries of the last plan, at most n + m - 1 of them, by rows, then columns.
  std::vector<PlanEntry> plan() const;

  /// Whether every arc without flow points to the root: what keeps ties of mass from cycling. True after any pivot.
  bool strongly_feasible() const;

  /// Potentials of the last problem, feasible at any iteration: u[i] + v[j] <= cost[i][j] to rounding; where the run
  /// was optimal, equal where the plan is positive. Zero weights have finite potentials too.
  template <class T>
  void duals(const T* cost, double* u, double* v) const;

 private:
  // Nodes are the rows, then the columns. All of them form a ring in preorder: a subtree is a stretch of it, its top
  // first.
  using Index = std::uint32_t;
  struct Node {
    Index parent, size, last, previous;  // the subtree's size and the end of its stretch; the node before in the ring
  };

  void count_units(span<const double> a, span<const double> b);
  template <class T>
  ExactReport improve(const T* cost, std::uint64_t max_iter);
  template <class T>
  void solve_without_the_largest(const T* cost, std::uint64_t max_iter, ExactReport& report);
  template <class T>
  void grow_first_tree(const T* cost);
  void hang_tree(const std::vector<Index>& rows, const std::vector<Index>& columns,
                 const std::vector<std::int64_t>& flows, const std::vector<double>& costs);
  template <class T>
  std::size_t entering_column(const T* row, std::size_t i) const;
  double tolerance(std::size_t i, std::size_t column, double cost) const;
  void pivot(Index row, Index column, double cost);
  void rehang(Index top, Index leaving, Index anchor, std::int64_t flow, double cost);
  void link(Index node, Index next);
  void refresh_potentials();
  double objective() const;
  bool is_row(Index node) const { return node < n_; }

  std::size_t n_ = 0, m_ = 0;
  Index root_ = 0;
  double unit_ = 0;      // mass of one unit of flow
  double rounding_ = 0;  // relative size below which a reduced cost may be noise
  std::vector<std::int64_t> supply_, demand_;  // in units
  std::vector<double> potential_;  // of rows, then columns; -inf for columns without weight
  std::vector<Node> nodes_;
  std::vector<Index> next_;         // in the ring
  std::vector<std::int64_t> flow_;  // units on the arc between a node and its parent
  std::vector<double> cost_;        // of that arc
};

/// Problems one after another: problem k has n_rows[k] weights of `a`, n_columns[k] of `b` and their costs, row-major.
template <class T>
struct ExactProblems {
  span<const std::int64_t> n_rows, n_columns;  // each >= 1
  span<const double> a, b;
  span<const T> cost;
};

/// Where the results of as many problems go. Those of a problem begin in u and v where the weights before it end, in
/// columns and masses where both sides' weights before it end.
struct ExactResults {
  double *cost, *gap;  // gap: cost - <a, u> - <b, v>, the most that the cost is above the optimum
  std::int64_t* n_iter;
  std::uint8_t* optimal;
  double *u, *v;  // feasible, with <a, u> = <b, v>
  std::int64_t* n_entries;
  std::int64_t* row_entries;  // as u: the number of positive entries in each row of the plan
  std::int64_t* columns;      // of these entries, by rows
  double* masses;
};

/// Solves each problem by the network simplex, problems shared out among threads. The same bits for any n_threads.
/// Throws value_error where the sizes do not fit together, or for the first problem whose weights are refused.
template <class T>
void solve_exactly(const ExactProblems<T>& problems, const ExactResults& results, std::uint64_t max_iter,
                   unsigned n_threads);

}  // namespace likewise::transport
