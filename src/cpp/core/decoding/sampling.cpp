#include <cmath>

#include "core/decoding/law.hpp"
#include "core/philox.hpp"
#include "core/thread_pool.hpp"

namespace likewise::decoding {
namespace {

constexpr std::uint32_t kTag = 8;  // of these uniform numbers among the uses of a seed

template <class T>
void sample_row(const Logits& logits, const Filter& filter, const RowFilter& how, std::size_t row, std::int64_t step,
                double u, std::int64_t* token, const Report* report) {
  const Law<T> law(logits, filter, how, row, step, report != nullptr, Workspace<T>::of_this_thread());
  const std::size_t id = law.draw(u);
  *token = static_cast<std::int64_t>(id);
  if (report == nullptr) return;
  report->log_probability[row] = law.log_probability(id);
  report->kept[row] = static_cast<std::int64_t>(law.kept());
  report->end_probability[row] = law.end_probability();
  report->floored[row] = law.floored() ? 1 : 0;
}

}  // namespace

double floor_value(double epsilon, std::int64_t start, std::int64_t step) {
  if (step < start) return 0;
  return -std::expm1(static_cast<double>(step - start + 1) * std::log1p(-epsilon));
}

void uniforms(std::uint64_t seed, span<const std::int64_t> row_ids, span<const std::int64_t> steps, double* out) {
  const Philox words(seed);
  for (std::size_t i = 0; i < row_ids.size; ++i)
    out[i] = words.uniform(kTag, static_cast<std::uint64_t>(row_ids[i]),
                           static_cast<std::uint64_t>(steps[steps.size == 1 ? 0 : i]));
}

void sample(const Logits& logits, const Filter& filter, span<const std::int64_t> steps, const double* u,
            std::int64_t* tokens, const Report* report, unsigned n_threads) {
  // Waking threads costs more than a few short rows.
  constexpr std::size_t kSplit = std::size_t{1} << 18;
  if (logits.n_rows * logits.n_vocabulary < kSplit) n_threads = 1;
  parallel_for(logits.n_rows, n_threads, [&](std::size_t row) {
    poll_interrupt();
    const RowFilter how = row_filter(filter, steps, row);
    const std::int64_t step = steps[steps.size == 1 ? 0 : row];
    if (fits_float(logits.element, how.temperature)) {
      sample_row<float>(logits, filter, how, row, step, u[row], tokens + row, report);
    } else {
      sample_row<double>(logits, filter, how, row, step, u[row], tokens + row, report);
    }
  });
}

}  // namespace likewise::decoding
