#include "kernels/simd.hpp"
#include "kernels/table.hpp"

namespace likewise::kernels::LIKEWISE_LEVEL {
namespace {

std::size_t count_above(const float* values, std::size_t n, float bound) {
  std::size_t count = 0, i = 0;
  const vec<float> limit = broadcast(bound);
  for (; i + lanes<float> <= n; i += lanes<float>)
    count += static_cast<std::size_t>(__builtin_popcount(greater_bits(load(values + i), limit)));
  for (; i < n; ++i) count += values[i] > bound;
  return count;
}

}  // namespace

extern const SearchKernels search_kernels;
constexpr SearchKernels search_kernels{count_above};

}  // namespace likewise::kernels::LIKEWISE_LEVEL
