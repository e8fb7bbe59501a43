// Drawing tokens from logits: truncations without sorting the vocabulary, an end token that always stays possible, and
// a floor under its probability; and a detector of exact loops.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "likewise/error.hpp"
#include "likewise/span.hpp"

namespace likewise::decoding {

enum class Element { float16, bfloat16, float32, float64 };

/// Rows of logits where they are, aligned to their elements; strides in bytes, of any sign.
template <class Data>
struct BasicLogits {
  Data* data;
  Element element;
  std::size_t n_rows, n_vocabulary;  // 1 <= n_vocabulary < 2^31
  std::ptrdiff_t row_stride, element_stride;
};
using Logits = BasicLogits<const char>;
using MutableLogits = BasicLogits<char>;

/// Which tokens may be drawn, and with what probability. Of the arrays, each has one value, or one for each row.
struct Filter {
  std::vector<double> temperature;   // 0: greedy
  std::vector<std::int64_t> top_k;   // 0: off
  std::vector<double> top_p, min_p, typical_p;  // 1, 0, 1: off
  std::vector<std::int64_t> eos;     // different ids in [0, n_vocabulary)
  bool consistent = true;            // whether they survive every truncation
  double epsilon = 0;                // of the floor; 0: none
  std::int64_t start = 0;
  bool skip_masked = false;          // whether a row without end token goes without floor, or is an error
};

/// 1 - (1 - epsilon)^n with n = step - start + 1, 0 for n < 1.
double floor_value(double epsilon, std::int64_t start, std::int64_t step);

/// out[i] = the uniform number in [0, 1) of a seed, a row's id and a step below 2^33. One step, or one for each row.
void uniforms(std::uint64_t seed, span<const std::int64_t> row_ids, span<const std::int64_t> steps, double* out);

/// What is known of a drawn token, one value a row.
struct Report {
  double* log_probability;
  std::int64_t* kept;       // tokens that could have been drawn
  double* end_probability;  // of all end tokens together
  std::uint8_t* floored;    // whether a floor was in force
};

/// tokens[i] = the smallest id at which the cumulative probability of row i exceeds u[i]. `report` may be null. The same
/// for every number of threads, split into rows and CPU level. Throws value_error naming the row for NaN, +inf or
/// nothing but -inf, and for a floor without an end token that is possible.
void sample(const Logits& logits, const Filter& filter, span<const std::int64_t> steps, const double* u,
            std::int64_t* tokens, const Report* report, unsigned n_threads);

/// Logits whose softmax is the distribution that `sample` draws from: z / temperature, that of end tokens shifted, -inf
/// where nothing is drawn; or, normalised, the logarithms of the probabilities. `out` has the shape of the logits, and
/// may be the logits themselves.
void filter_logits(const Logits& logits, const Filter& filter, span<const std::int64_t> steps, bool normalize,
                   const MutableLogits& out, unsigned n_threads);

/// Finds the smallest period p <= max_period of the last max(repeats p, min_len) tokens, online.
class LoopDetector {
 public:
  /// max_period >= 1, repeats >= 2, min_len >= 2, n_rows >= 1, and max_period * repeats and min_len fit int32.
  LoopDetector(std::int64_t max_period, std::int64_t repeats, std::int64_t min_len, std::size_t n_rows);

  std::size_t n_rows() const { return counts_.size(); }
  /// One token for each row that is active (null: all); periods[i] = 0 where there is no loop, or nothing was pushed.
  /// Throws value_error, and takes none, where one does not fit 32 bits.
  void push(const std::int64_t* tokens, const std::uint8_t* active, std::int64_t* periods);
  void reset(std::size_t row);
  /// Row i continues what row index[i] was. Another number of rows is fine.
  void reorder(span<const std::int64_t> index);

 private:
  std::size_t max_period_;
  std::vector<std::int32_t> needed_;   // run of period max_period - i that completes a loop
  std::vector<std::int32_t> histories_;  // 2 max_period tokens a row, the last ones before `ends_`
  std::vector<std::int32_t> runs_;     // max_period a row: at i, how long tokens have repeated at max_period - i
  std::vector<std::size_t> ends_;
  std::vector<std::size_t> counts_;    // tokens so far, at most max_period
};

}  // namespace likewise::decoding
