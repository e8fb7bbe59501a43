// Inner loops of the network simplex: one row of costs (float or double) against the potentials of the columns, in
// float64. Differences and minima only: equal bits at every level.
#include "kernels/simd.hpp"
#include "kernels/table.hpp"

namespace likewise::kernels::LIKEWISE_LEVEL {
namespace {

constexpr std::size_t kWidth = lanes<double>;

template <class T>
inline vec<double> differences(const T* costs, const double* potentials) {
  return load_doubles(costs) - load(potentials);
}

inline vec<double> smaller(vec<double> a, vec<double> b) { return a < b ? a : b; }

/// The least lane, by halves: few steps that wait for one another.
inline double least_lane(vec<double> v) {
  double lane[kWidth];
  store(lane, v);
#pragma GCC unroll 4
  for (std::size_t half = kWidth / 2; half > 0; half /= 2)
#pragma GCC unroll 4
    for (std::size_t i = 0; i < half; ++i) lane[i] = lane[i] < lane[i + half] ? lane[i] : lane[i + half];
  return lane[0];
}

template <class T>
double least_difference(const T* costs, const double* potentials, std::size_t n) {
  if (n < kWidth) {
    double found = __builtin_inf();
    for (std::size_t j = 0; j < n; ++j) {
      const double r = static_cast<double>(costs[j]) - potentials[j];
      found = r < found ? r : found;
    }
    return found;
  }
  // The last register begins where it ends with the row: what it sees twice does not change the least.
  const std::size_t end = n - kWidth;
  vec<double> least[4];
  least[0] = smaller(differences(costs + end, potentials + end), broadcast(__builtin_inf()));  // no NaN stays in front
  std::size_t j = 0;
  if (n >= 4 * kWidth) {
    least[1] = least[2] = least[3] = least[0];
    for (; j + 4 * kWidth <= n; j += 4 * kWidth)
#pragma GCC unroll 4
      for (std::size_t k = 0; k < 4; ++k) {
        const std::size_t at = j + k * kWidth;
        least[k] = smaller(differences(costs + at, potentials + at), least[k]);
      }
    least[0] = smaller(smaller(least[0], least[1]), smaller(least[2], least[3]));
  }
  for (; j < end; j += kWidth) least[0] = smaller(differences(costs + j, potentials + j), least[0]);
  return least_lane(least[0]);
}

template <class T>
std::size_t first_at_most(const T* costs, const double* potentials, std::size_t n, double bound) {
  constexpr std::uint32_t kAll = (1u << kWidth) - 1;
  std::size_t j = 0;
  for (; j + kWidth <= n; j += kWidth) {
    const std::uint32_t above = greater_bits(differences(costs + j, potentials + j), broadcast(bound));
    if (above != kAll) return j + static_cast<std::size_t>(__builtin_ctz(~above));
  }
  while (j < n && static_cast<double>(costs[j]) - potentials[j] > bound) ++j;
  return j;
}

template <class T>
std::size_t two_least_differences(const T* costs, const double* potentials, std::size_t n, double* two) {
  const vec<double> none = broadcast(__builtin_inf());
  vec<double> first = none, second = none, column{};
  const auto take = [&](vec<double> r, std::size_t j) {
    column = r < first ? broadcast(static_cast<double>(j)) : column;  // of the register's first lane
    second = minimum(maximum(r, first), second);
    first = minimum(r, first);
  };
  std::size_t j = 0;
  for (; j + kWidth <= n; j += kWidth) take(differences(costs + j, potentials + j), j);
  if (j < n && n > kWidth) {  // the last register ends with the row: what it sees again does not count
    const vec<double> r = differences(costs + n - kWidth, potentials + n - kWidth);
    take(lane_numbers<double>() < static_cast<std::int64_t>(j + kWidth - n) ? none : r, n - kWidth);
  } else if (j < n) {
    vec<double> r = none;
    for (std::size_t lane = 0; lane < n; ++lane) r[lane] = static_cast<double>(costs[lane]) - potentials[lane];
    take(r, 0);
  }
  const double least = least_lane(first);
  std::size_t found = n, at = 0;
  const std::uint32_t equal = ~greater_bits(first, broadcast(least)) & ((1u << kWidth) - 1);
  for (std::uint32_t bits = equal; bits != 0; bits &= bits - 1) {
    const auto lane = static_cast<std::size_t>(__builtin_ctz(bits));
    const std::size_t here = static_cast<std::size_t>(column[lane]) + lane;
    if (here < found) {
      found = here;
      at = lane;
    }
  }
  // The second one is the least of other lanes, or the second of its own.
  double rest[kWidth];
  store(rest, first);
  rest[at] = __builtin_inf();
  two[0] = least;
  two[1] = least_lane(minimum(load(rest), second));
  return found < n ? found : 0;
}

template <class T>
void lower_to_differences(const T* costs, double potential, std::size_t n, double* least) {
  const vec<double> shift = broadcast(potential);
  std::size_t j = 0;
  for (; j + kWidth <= n; j += kWidth) {
    const vec<double> r = load_doubles(costs + j) - shift, old = load(least + j);
    store(least + j, r < old ? r : old);
  }
  for (; j < n; ++j) {
    const double r = static_cast<double>(costs[j]) - potential;
    least[j] = r < least[j] ? r : least[j];
  }
}

template <class T>
constexpr ExactKernels<T> kernels_for{least_difference<T>, first_at_most<T>, two_least_differences<T>,
                                      lower_to_differences<T>};

}  // namespace

extern const ExactTable exact_kernels;
constexpr ExactTable exact_kernels{kernels_for<float>, kernels_for<double>};

}  // namespace likewise::kernels::LIKEWISE_LEVEL
