#include "core/dispatch.hpp"

#include <algorithm>
#include <cstdlib>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "likewise/error.hpp"

namespace likewise {
namespace {

struct Candidate {
  kernels::Table table;
  bool (*runs_here)();
};

#if defined(__x86_64__)
/// A bit of leaf 1 or 0x80000001, ECX: what older compilers cannot name in __builtin_cpu_supports.
bool has_ecx_bit(unsigned leaf, unsigned bit) {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(leaf, &a, &b, &c, &d) != 0 && ((c >> bit) & 1) != 0;
}
bool has_v2() {
  return __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt") &&
         has_ecx_bit(1, 13) && has_ecx_bit(0x80000001, 0);  // cmpxchg16b, lahf
}
bool has_v3() {
  return has_v2() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma") && has_ecx_bit(1, 29) && has_ecx_bit(1, 22) &&
         has_ecx_bit(0x80000001, 5);  // f16c, movbe, lzcnt
}
bool has_v4() {
  return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#else
bool has_arm64() { return true; }
#endif

const std::vector<Candidate>& candidates() {
#define LIKEWISE_CANDIDATE(level)       \
  {{#level,                             \
    kernels::level::search_kernels,     \
    kernels::level::projection_kernels, \
    kernels::level::keyword_kernels,    \
    kernels::level::whitening_kernels,  \
    kernels::level::exact_kernels,      \
    kernels::level::document_kernels,   \
    kernels::level::emo_kernels,        \
    kernels::level::sinkhorn_kernels,   \
    kernels::level::scaling_kernels,    \
    kernels::level::batch_kernels,      \
    kernels::level::decoding_kernels},  \
   has_##level},
  static const std::vector<Candidate> all{LIKEWISE_LEVELS(LIKEWISE_CANDIDATE)};
#undef LIKEWISE_CANDIDATE
  return all;
}

std::string requested_level() {
  const char* value = std::getenv("LIKEWISE_CPU_LEVEL");
  return value == nullptr ? "" : value;
}

const kernels::Table& choose() {
  const std::string requested = requested_level();
  const kernels::Table* best = nullptr;
  bool known = requested.empty();
  std::string names;
  for (const Candidate& c : candidates()) {
    names += (names.empty() ? "" : ", ") + std::string(c.table.level);
    const bool above = known && !requested.empty();  // past the requested one
    known = known || requested == c.table.level;
    if (!above && c.runs_here()) best = &c.table;
  }
  if (!known) throw value_error("LIKEWISE_CPU_LEVEL: expected one of " + names + ", got '" + requested + "'");
  if (best == nullptr)
    throw error("this CPU is below the lowest level that likewise is built for (" +
                std::string(candidates().front().table.level) + ")");
  return *best;
}

}  // namespace

const kernels::Table& kernel_table() {
  static const kernels::Table& table = choose();
  return table;
}

LevelReport level_report() {
  LevelReport report;
  report.requested = requested_level();
  for (const Candidate& c : candidates()) {
    report.known.emplace_back(c.table.level);
    if (c.runs_here()) report.available.emplace_back(c.table.level);
  }
  report.capped = !report.requested.empty() && std::find(report.available.begin(), report.available.end(),
                                                         report.requested) == report.available.end();
  return report;
}

}  // namespace likewise
