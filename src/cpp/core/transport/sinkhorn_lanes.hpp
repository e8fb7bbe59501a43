// Sinkhorn's iteration in the lanes of registers, one small problem each. A lane whose problem is done takes the next
// one, so that problems that need many iterations do not keep others waiting.
#pragma once
#include <cstdint>
#include <vector>

#include "kernels/table.hpp"
#include "likewise/transport/sinkhorn.hpp"

namespace likewise::transport {

/// A problem on its way through the lanes.
struct LaneJob {
  const SinkhornProblem* problem = nullptr;
  span<double> f, g;
  SinkhornReport* report = nullptr;
  double asked = 0;         // the marginal error to stop at
  bool in_progress = false;  // f and g are potentials of an earlier stage, in units of epsilon
};

template <class T>
class Lanes {
 public:
  /// For problems of up to n and m points.
  Lanes(std::size_t n, std::size_t m, const SinkhornOptions& options);

  /// Solves the jobs. Those that need more than T can give come back, with potentials from which to go on.
  std::vector<LaneJob> solve(span<const LaneJob> jobs);

 private:
  static constexpr std::size_t kWidth = kernels::kLanes<T>;

  struct Lane {
    LaneJob job;
    std::size_t budget = 0;  // iterations that may still be done here
    double shift = 0, scale = 1;
    std::vector<double> phi, gamma;          // absorbed by the kernel, in units of epsilon
    std::vector<double> kernel;              // in float64, for the verification
    std::vector<double> cost;                // of a problem given by its points
    std::size_t loaded_n = 0, loaded_m = 0;  // of the kernel that the registers' memory holds
  };

  void take_next(std::size_t at);
  bool start(std::size_t at, const LaneJob& job);
  void load(std::size_t at);
  void scatter();
  void restart_acceleration(std::size_t at);
  void handle(std::size_t at);
  void take_scalings(std::size_t at, const T* columns);
  void compute_cost(Lane& lane);
  template <class C>
  void iterate_in_logs(Lane& lane, const C* cost);
  template <class C>
  void verify(Lane& lane, const C* cost);
  template <class Use>
  auto with_cost(Lane& lane, const Use& use);
  template <class Use>
  void for_active(const Use& use);

  const SinkhornOptions options_;
  const std::size_t rows_, columns_;
  kernels::LaneState<T> state_{};
  std::vector<T> memory_;
  T *kernel_ = nullptr, *a_ = nullptr, *b_ = nullptr, *threshold_ = nullptr;
  Lane lanes_[kWidth];
  std::uint32_t unscattered_ = 0;  // lanes whose kernel the registers' memory does not hold yet, as bits
  span<const LaneJob> waiting_;
  std::vector<LaneJob> unfinished_;
  std::vector<double> u_, v_, row_sums_, column_sums_, logs_;
};

}  // namespace likewise::transport
