#include <algorithm>
#include <string>

#include "core/dispatch.hpp"
#include "likewise/decoding.hpp"

namespace likewise::decoding {

// Token t has period p so far where y_t = y_{t-p}. A run of R such tokens and the p tokens before it are a window of R + p
// tokens with period p: the window of max(repeats p, min_len) is complete when the run has that length less p. Runs are
// kept for all periods at once, the longest period first, as the history is read in the order in which it was written.

LoopDetector::LoopDetector(std::int64_t max_period, std::int64_t repeats, std::int64_t min_len, std::size_t n_rows)
    : max_period_(static_cast<std::size_t>(max_period)),
      needed_(max_period_),
      histories_(2 * max_period_ * n_rows),
      runs_(max_period_ * n_rows),
      ends_(n_rows, max_period_),
      counts_(n_rows) {
  for (std::size_t i = 0; i < max_period_; ++i) {
    const std::int64_t period = max_period - static_cast<std::int64_t>(i);
    needed_[i] = static_cast<std::int32_t>(std::max(repeats * period, min_len) - period);
  }
}

void LoopDetector::push(const std::int64_t* tokens, const std::uint8_t* active, std::int64_t* periods) {
  for (std::size_t row = 0; row < n_rows(); ++row)
    if (tokens[row] != static_cast<std::int32_t>(tokens[row]))
      throw value_error("tokens: expected integers that fit int32, got " + std::to_string(tokens[row]) +
                        " at position " + std::to_string(row));
  const auto extend = kernel_table().decoding.extend_runs;
  const std::size_t width = max_period_;
  for (std::size_t row = 0; row < n_rows(); ++row) {
    periods[row] = 0;
    if (active != nullptr && active[row] == 0) continue;
    std::int32_t* const history = &histories_[row * 2 * width];
    std::size_t& end = ends_[row];
    if (end == 2 * width) {
      std::copy(history + width, history + 2 * width, history);
      end = width;
    }
    const std::size_t unknown = width - counts_[row];  // periods that reach before the first token
    const std::int32_t token = static_cast<std::int32_t>(tokens[row]);
    const std::size_t found = extend(history + end - width + unknown, token, &needed_[unknown], counts_[row],
                                     &runs_[row * width + unknown]);
    if (found > 0) periods[row] = static_cast<std::int64_t>(width - (unknown + found - 1));
    history[end++] = token;
    if (counts_[row] < width) ++counts_[row];
  }
}

void LoopDetector::reset(std::size_t row) {
  std::fill_n(runs_.begin() + static_cast<std::ptrdiff_t>(row * max_period_), max_period_, 0);
  ends_[row] = max_period_;
  counts_[row] = 0;
}

void LoopDetector::reorder(span<const std::int64_t> index) {
  const std::size_t n = index.size, width = max_period_;
  std::vector<std::int32_t> histories(2 * width * n), runs(width * n);
  std::vector<std::size_t> ends(n), counts(n);
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t from = static_cast<std::size_t>(index[i]);
    std::copy_n(&histories_[from * 2 * width], 2 * width, &histories[i * 2 * width]);
    std::copy_n(&runs_[from * width], width, &runs[i * width]);
    ends[i] = ends_[from];
    counts[i] = counts_[from];
  }
  histories_.swap(histories);
  runs_.swap(runs);
  ends_.swap(ends);
  counts_.swap(counts);
}

}  // namespace likewise::decoding
