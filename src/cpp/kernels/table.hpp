// The function table of the kernels: one for each CPU level, picked once by core/dispatch.cpp.
#pragma once
#include <cstddef>
#include <cstdint>

namespace likewise::kernels {

struct SearchKernels {
  /// Number of values above the bound, at most `n` (n floats read once).
  std::size_t (*count_above)(const float* values, std::size_t n, float bound);
};

struct Table {
  const char* level;
  SearchKernels search;
};

#if defined(__x86_64__)
#define LIKEWISE_LEVELS(X) X(v2) X(v3) X(v4)
#else
#define LIKEWISE_LEVELS(X) X(arm64)
#endif

#define LIKEWISE_DECLARE(level)                  \
  namespace level {                              \
  extern const SearchKernels search_kernels;     \
  }
LIKEWISE_LEVELS(LIKEWISE_DECLARE)
#undef LIKEWISE_DECLARE

}  // namespace likewise::kernels
