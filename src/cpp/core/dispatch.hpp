#pragma once
#include <string>
#include <vector>

#include "kernels/table.hpp"

namespace likewise {

/// The kernels of the chosen CPU level. Chosen at the first call: the best level of this machine, capped by the
/// environment variable LIKEWISE_CPU_LEVEL. Throws value_error if that names no level.
const kernels::Table& kernel_table();

/// Why `kernel_table()` is what it is, for `likewise.info()`.
struct LevelReport {
  std::vector<std::string> known;      // levels of this build, lowest first
  std::vector<std::string> available;  // those that this machine can run
  std::string requested;               // LIKEWISE_CPU_LEVEL, or empty
  bool capped = false;                 // the request was above the machine
};
LevelReport level_report();

}  // namespace likewise
