// Where the network simplex begins: an auction for columns, a greedy plan that honours its claims, and their tree.
#include <algorithm>
#include <limits>
#include <numeric>

#include "core/thread_pool.hpp"
#include "core/transport/exact_kernels.hpp"

namespace likewise::transport {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

using Index = std::uint32_t;

constexpr std::size_t kRounds = 4;         // bids a row, on average and at most
constexpr std::int64_t kMostUnplaced = 4;  // one part in so many of the mass may have no column after the first round

/// Some rounds of an auction (Bertsekas and Castanon 1989). A row bids for the column of its least cost - price: as far
/// as its second choice lets it, and on by what bids have been on average. Who held the column must bid anew. Where
/// rows prefer different columns, as words of many dimensions do, prices and claims are nearly optimal after two.
class Auction {
 public:
  struct Claim {
    Index row, column;
    std::int64_t mass;
    std::size_t next;  // claim of the same column while rows bid, of the same row afterwards; 0: none
  };

  Auction(const std::vector<std::int64_t>& supply, const std::vector<std::int64_t>& demand)
      : supply_(supply), demand_(demand) {}

  /// Lets the rows bid, and changes the prices. Where too many of them want the same columns, all stays as it was.
  template <class T>
  void hold(const T* cost, const std::vector<Index>& rows, double* prices) {
    const std::vector<double> before(prices, prices + demand_.size());
    unplaced_ = supply_;
    free_ = demand_;
    first_of_column_.assign(demand_.size(), 0);
    last_of_column_.assign(demand_.size(), 0);
    first_of_row_.assign(supply_.size(), 0);
    if (bid(cost, rows, prices)) {
      for (std::size_t k = claims_.size(); k-- > 1;)
        if (claims_[k].mass > 0) {
          claims_[k].next = first_of_row_[claims_[k].row];
          first_of_row_[claims_[k].row] = k;
        }
    } else {
      std::copy(before.begin(), before.end(), prices);
      unplaced_ = supply_;
    }
  }

  bool is_placed(Index row) const { return unplaced_[row] == 0; }

  /// The number of the row's first claim, 0 if it has none.
  std::size_t first_claim(Index row) const { return first_of_row_[row]; }
  const Claim& claim(std::size_t k) const { return claims_[k]; }

 private:
  template <class T>
  bool bid(const T* cost, const std::vector<Index>& rows, double* prices) {
    const kernels::ExactKernels<T>& kernel = exact_kernels<T>();
    const std::size_t m = demand_.size();
    const auto sum = [](const std::vector<std::int64_t>& mass) {
      return std::accumulate(mass.begin(), mass.end(), std::int64_t{0});
    };
    std::vector<Index> waiting = rows;
    double regrets = 0;
    for (std::size_t k = 0; k < kRounds * rows.size() && k < waiting.size(); ++k) {
      if (k % 64 == 63) poll_interrupt();
      if (k == rows.size() && sum(unplaced_) > sum(supply_) / kMostUnplaced) return false;
      const Index i = waiting[k];
      if (unplaced_[i] == 0) continue;
      double two[2];
      const std::size_t j = kernel.two_least_differences(cost + i * m, prices, m, two);
      const double regret = two[1] - two[0];
      regrets += regret;
      const double step = regret + regrets / static_cast<double>(k + 1);
      if (!(step < kInfinity)) return false;  // a single column, or costs too large to add
      prices[j] -= step;
      // Without a step bids would go round in circles: then only what is free.
      place(i, j, step > 0 ? std::min(unplaced_[i], demand_[j]) : std::min(unplaced_[i], free_[j]), waiting);
    }
    return true;
  }

  void place(Index i, std::size_t j, std::int64_t mass, std::vector<Index>& waiting) {
    if (mass == 0) return;
    while (free_[j] < mass) {  // who came first goes first
      Claim& other = claims_[first_of_column_[j]];
      const std::int64_t taken = std::min(other.mass, mass - free_[j]);
      if (unplaced_[other.row] == 0) waiting.push_back(other.row);
      unplaced_[other.row] += taken;
      other.mass -= taken;
      free_[j] += taken;
      if (other.mass == 0) first_of_column_[j] = other.next;
    }
    free_[j] -= mass;
    unplaced_[i] -= mass;
    const std::size_t number = claims_.size();
    (first_of_column_[j] == 0 ? first_of_column_[j] : claims_[last_of_column_[j]].next) = number;
    last_of_column_[j] = number;
    claims_.push_back({i, static_cast<Index>(j), mass, 0});
    if (unplaced_[i] > 0) waiting.push_back(i);
  }

  const std::vector<std::int64_t>&supply_, &demand_;
  std::vector<std::int64_t> unplaced_, free_;  // of rows, of columns
  std::vector<Claim> claims_{1};               // number 0 is none
  std::vector<std::size_t> first_of_column_, last_of_column_, first_of_row_;
};

}  // namespace

/// Makes the tree of n + m - 1 arcs, whatever their order, and hangs it up at the root.
void NetworkSimplex::hang_tree(const std::vector<Index>& rows, const std::vector<Index>& columns,
                               const std::vector<std::int64_t>& flows, const std::vector<double>& costs) {
  // End 2k of arc k is at its row, end 2k + 1 at its column; ends at one node form a list, 0 at its end.
  std::vector<std::size_t> first(n_ + m_, 0), next(2 * rows.size() + 1);
  for (std::size_t end = 0; end < 2 * rows.size(); ++end) {
    const Index node = end % 2 == 0 ? rows[end / 2] : columns[end / 2];
    next[end + 1] = first[node];
    first[node] = end + 1;
  }
  std::vector<Index> order, waiting{root_}, place(n_ + m_);
  order.reserve(rows.size() + 1);
  nodes_[root_].parent = root_;
  while (!waiting.empty()) {
    const Index node = waiting.back();
    waiting.pop_back();
    place[node] = static_cast<Index>(order.size());
    order.push_back(node);
    for (std::size_t end = first[node]; end != 0; end = next[end]) {
      const std::size_t arc = (end - 1) / 2;
      const Index other = end % 2 == 1 ? columns[arc] : rows[arc];
      if (other == nodes_[node].parent) continue;
      nodes_[other].parent = node;
      flow_[other] = flows[arc];
      cost_[other] = costs[arc];
      waiting.push_back(other);
    }
  }
  for (const Index node : order) nodes_[node].size = 1;
  for (std::size_t k = order.size(); k-- > 1;) nodes_[nodes_[order[k]].parent].size += nodes_[order[k]].size;
  for (std::size_t k = 0; k < order.size(); ++k) {
    link(order[k], order[k + 1 < order.size() ? k + 1 : 0]);
    nodes_[order[k]].last = order[place[order[k]] + nodes_[order[k]].size - 1];
  }
  refresh_potentials();
}

/// A greedy plan: each row sends to its cheapest columns with room, costs taken relative to the columns' least, the
/// rows that would lose most by a second choice first. Ties of mass are broken as if every row had a trifle more than
/// its weight and the root all of these trifles: what has no flow then points to the root, as strong feasibility asks.
template <class T>
void NetworkSimplex::grow_first_tree(const T* cost) {
  const kernels::ExactKernels<T>& kernel = exact_kernels<T>();
  double* const open = potential_.data() + n_;  // least cost of a column; -inf once it is full
  std::fill(open, open + m_, kInfinity);
  std::vector<Index> order;
  std::size_t polled = 0;
  const auto poll = [&polled] {  // a look at the clock takes as long as a short row
    if (++polled % 64 == 0) poll_interrupt();
  };
  for (std::size_t i = 0; i < n_; ++i)
    if (supply_[i] > 0) {
      order.push_back(static_cast<Index>(i));
      kernel.lower_to_differences(cost + i * m_, 0, m_, open);
      poll();
    }
  for (std::size_t j = 0; j < m_; ++j)
    if (demand_[j] == 0) open[j] = -kInfinity;
  Auction auction(supply_, demand_);
  auction.hold(cost, order, open);
  for (const Index i : order) {
    if (auction.is_placed(i)) continue;
    double two[2];
    kernel.two_least_differences(cost + i * m_, open, m_, two);
    const double regret = two[1] - two[0];
    potential_[i] = regret > 0 ? regret : 0;  // the order must be one: no NaN
    poll();
  }
  // Who has all that it needs comes first: it takes nothing from others.
  std::sort(order.begin(), order.end(), [&](Index i, Index j) {
    if (auction.is_placed(i) != auction.is_placed(j)) return auction.is_placed(i);
    return potential_[i] > potential_[j] || (potential_[i] == potential_[j] && i < j);
  });

  std::vector<std::int64_t> room = demand_;
  std::vector<std::int64_t> trifles(m_, 0);
  const auto root = static_cast<std::size_t>(std::max_element(demand_.begin(), demand_.end()) - demand_.begin());
  trifles[root] = static_cast<std::int64_t>(order.size());
  root_ = static_cast<Index>(n_ + root);
  std::vector<Index> rows, columns;
  std::vector<std::int64_t> flows;
  std::vector<double> costs;
  for (const Index i : order) {
    const T* row = cost + i * m_;
    std::int64_t left = supply_[i], trifle = 1;
    poll();
    std::size_t claim = auction.first_claim(i);
    for (bool sending = true; sending;) {
      std::size_t j = m_;
      for (; claim != 0 && j == m_; claim = auction.claim(claim).next)
        if (room[auction.claim(claim).column] > 0) j = auction.claim(claim).column;
      if (j == m_) {
        const double least = kernel.least_difference(row, open, m_);
        j = kernel.first_at_most(row, open, m_, least);
      }
      if (j == m_ || (room[j] == 0 && trifles[j] <= 0))  // no finite cost: any column with room
        for (j = 0; room[j] == 0 && trifles[j] <= 0;) ++j;
      const bool same = room[j] == left && trifles[j] == trifle;
      const bool fills = room[j] < left || (room[j] == left && trifles[j] <= trifle);
      rows.push_back(i);
      columns.push_back(static_cast<Index>(n_ + j));
      costs.push_back(static_cast<double>(row[j]));
      if (fills) {
        flows.push_back(room[j]);
        left -= room[j];
        trifle -= trifles[j];
        room[j] = trifles[j] = 0;
        open[j] = -kInfinity;
        sending = !same;
      } else {
        flows.push_back(left);
        room[j] -= left;
        trifles[j] -= trifle;
        sending = false;
      }
    }
  }
  for (std::size_t j = 0; j < m_; ++j) open[j] = demand_[j] == 0 ? -kInfinity : 0;
  hang_tree(rows, columns, flows, costs);
}

template void NetworkSimplex::grow_first_tree(const float*);
template void NetworkSimplex::grow_first_tree(const double*);

}  // namespace likewise::transport
