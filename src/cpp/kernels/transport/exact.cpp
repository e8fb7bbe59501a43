// Inner loops of the network simplex: one row of costs (float or double) against the potentials of the columns, in
// float64. Differences and minima only: equal bits at every level.
#include "kernels/simd.hpp"
#include "kernels/table.hpp"

namespace likewise::kernels::LIKEWISE_LEVEL {
namespace {

constexpr std::size_t kWidth = lanes<double>;

template <class T>
double least_difference(const T* costs, const double* potentials, std::size_t n) {
  const vec<double> none = broadcast(__builtin_inf());
  vec<double> least[4] = {none, none, none, none};
  std::size_t j = 0;
  for (; j + 4 * kWidth <= n; j += 4 * kWidth)
#pragma GCC unroll 4
    for (std::size_t k = 0; k < 4; ++k) {
      const vec<double> r = load_doubles(costs + j + k * kWidth) - load(potentials + j + k * kWidth);
      least[k] = r < least[k] ? r : least[k];
    }
  for (; j + kWidth <= n; j += kWidth) {
    const vec<double> r = load_doubles(costs + j) - load(potentials + j);
    least[0] = r < least[0] ? r : least[0];
  }
  for (std::size_t k = 1; k < 4; ++k) least[0] = least[k] < least[0] ? least[k] : least[0];
  double found = least[0][0];
  for (std::size_t i = 1; i < kWidth; ++i) found = least[0][i] < found ? least[0][i] : found;
  for (; j < n; ++j) {
    const double r = static_cast<double>(costs[j]) - potentials[j];
    found = r < found ? r : found;
  }
  return found;
}

template <class T>
void two_least_differences(const T* costs, const double* potentials, std::size_t n, double* two) {
  vec<double> first = broadcast(__builtin_inf()), second = first;
  std::size_t j = 0;
  for (; j + kWidth <= n; j += kWidth) {
    const vec<double> r = load_doubles(costs + j) - load(potentials + j);
    const vec<double> larger = r < first ? first : r;
    first = r < first ? r : first;
    second = larger < second ? larger : second;
  }
  double a = __builtin_inf(), b = a;
  const auto take = [&](double r) {
    if (r < a) {
      b = a;
      a = r;
    } else if (r < b) {
      b = r;
    }
  };
  for (std::size_t i = 0; i < kWidth; ++i) {
    take(first[i]);
    take(second[i]);
  }
  for (; j < n; ++j) take(static_cast<double>(costs[j]) - potentials[j]);
  two[0] = a;
  two[1] = b;
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
constexpr ExactKernels<T> kernels_for{least_difference<T>, two_least_differences<T>, lower_to_differences<T>};

}  // namespace

extern const ExactTable exact_kernels;
constexpr ExactTable exact_kernels{kernels_for<float>, kernels_for<double>};

}  // namespace likewise::kernels::LIKEWISE_LEVEL
