// Rows of the ground cost for the passes over all pairs, and how the passes share them out between threads.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "core/dispatch.hpp"
#include "core/thread_pool.hpp"
#include "likewise/transport/ground_cost.hpp"

namespace likewise::transport {

template <class C>
const kernels::CostKernels<C>& cost_kernels() {
  if constexpr (std::is_same_v<C, float>) {
    return kernel_table().sinkhorn.f32;
  } else {
    return kernel_table().sinkhorn.f64;
  }
}

inline std::size_t n_rows(const Cost& cost) {
  return std::visit([](const auto& c) { return c.n; }, cost);
}
inline std::size_t n_columns(const Cost& cost) {
  return std::visit([](const auto& c) { return c.m; }, cost);
}

/// Gives out the rows of a stored matrix as they lie.
template <class T>
class StoredRows {
 public:
  using Value = T;
  explicit StoredRows(const StoredCost<T>& cost) : cost_(cost) {}
  const T* row(std::size_t i) { return cost_.values + i * cost_.m; }
  /// Rows which[0] ... which[count - 1], at most 16.
  void take(const std::uint32_t* which, std::size_t count, const T** rows) {
    for (std::size_t r = 0; r < count; ++r) rows[r] = row(which[r]);
  }

 private:
  const StoredCost<T> cost_;
};

/// Computes rows, several at a time, into memory of its own.
template <class T>
class PointRows {
 public:
  using Value = double;
  explicit PointRows(const PointCost<T>& cost);
  const double* row(std::size_t i) {
    if (i < first_ || i >= first_ + count_) {
      first_ = i;
      count_ = std::min({kMost, std::max(kLeast, kTogether / cost_.m), cost_.n - i});
      compute(cost_.x + i * cost_.d, count_);
    }
    return values_.data() + (i - first_) * cost_.m;
  }
  void take(const std::uint32_t* which, std::size_t count, const double** rows);

 private:
  static constexpr std::size_t kMost = 16, kLeast = 4;                // rows together, and as many as hold about
  static constexpr std::size_t kTogether = std::size_t{1} << 17;  // so many numbers
  void compute(const T* x, std::size_t count);

  const PointCost<T> cost_;
  std::size_t first_ = 0, count_ = 0;
  std::vector<T> chosen_;
  std::vector<double> values_, y_scale_;
};

template <class T>
StoredRows<T> rows_of(const StoredCost<T>& cost) {
  return StoredRows<T>(cost);
}
template <class T>
PointRows<T> rows_of(const PointCost<T>& cost) {
  return PointRows<T>(cost);
}

/// Rows are cut into pieces that depend on the sizes alone, so that sums over pieces have the same bits for any number
/// of threads. One piece where the work is too small to share.
struct Pieces {
  std::size_t n = 1, rows = 0;
  Pieces(std::size_t n_rows, std::size_t n_columns) : rows(std::max<std::size_t>(n_rows, 1)) {
    if (n_rows * n_columns < (std::size_t{1} << 17)) return;
    rows = std::max<std::size_t>((n_rows + 15) / 16, 64);
    n = (n_rows + rows - 1) / rows;
  }
};

/// body(piece, begin, end, rows) for each piece of the rows of the cost.
template <class Body>
void for_pieces(const Cost& cost, unsigned n_threads, const Body& body) {
  std::visit(
      [&](const auto& c) {
        const Pieces pieces(c.n, c.m);
        parallel_for(pieces.n, n_threads, [&](std::size_t p) {
          auto rows = rows_of(c);
          body(p, p * pieces.rows, std::min(c.n, (p + 1) * pieces.rows), rows);
        });
      },
      cost);
}

}  // namespace likewise::transport
