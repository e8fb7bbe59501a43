// The law of one row's next token. The tokens that may be drawn are those with logits not below a threshold, or a list;
// end tokens stand beside them, as the floor acts on them alone.
#pragma once
#include <cmath>
#include <functional>
#include <vector>

#include "core/decoding/rows.hpp"

namespace likewise::decoding {

/// What a row asks for.
struct RowFilter {
  double temperature, top_p, min_p, typical_p;
  std::size_t top_k;
  double floor;  // 0: none
};
RowFilter row_filter(const Filter& filter, span<const std::int64_t> steps, std::size_t row);

/// Whether the row's weights are computed in float32.
bool fits_float(Element element, double temperature);

/// An end token that may be drawn: (z - top) / temperature, its weight, and at the end its probability.
struct EndToken {
  std::size_t id;
  double exponent, weight, probability;
};

/// The arrays that a law is made with; each thread keeps its own.
template <class T>
struct Workspace {
  std::vector<T> maxima;        // one a block
  std::vector<double> sums;     // of the weights of a block, those of end tokens left out
  std::vector<T> values, weights, order;
  std::vector<std::uint32_t> ids;
  std::vector<double> keys, masses;
  std::vector<EndToken> ends;
  static Workspace& of_this_thread() {
    static thread_local Workspace workspace;
    return workspace;
  }
};

template <class T>
class Law {
 public:
  /// Greedy and without a floor, probabilities may be left out: then only `draw` may be called.
  Law(const Logits& logits, const Filter& filter, const RowFilter& how, std::size_t row, std::int64_t step,
      bool probabilities, Workspace<T>& workspace);

  /// The smallest id whose cumulative probability is above u; greedy: the most probable token.
  std::size_t draw(double u) const;

  double log_probability(std::size_t id) const;
  double end_probability() const { return end_probability_; }
  std::size_t kept() const;
  bool floored() const { return floored_; }

  // What is written by filter_logits.
  const Row<T>& logits() const { return row_; }
  double temperature() const { return temperature_; }
  T top() const { return top_; }
  bool listed() const { return listed_; }
  T threshold() const { return threshold_; }
  std::size_t n_listed() const { return w_.ids.size(); }
  std::size_t listed_id(std::size_t i) const { return w_.ids[i]; }
  T listed_logit(std::size_t i) const { return w_.values[i]; }
  const std::vector<EndToken>& ends() const { return w_.ends; }
  /// Probability of a token that is no end token, by its weight.
  double scale() const { return scale_; }
  double exponent(T logit) const {
    return (0.5 * static_cast<double>(logit) - 0.5 * static_cast<double>(top_)) / (0.5 * temperature_);
  }

 private:
  using Kernels = kernels::SamplingKernels<T>;
  static constexpr T kLowest = std::numeric_limits<T>::lowest();

  void measure(std::size_t row);
  void sum_blocks();
  void truncate(const RowFilter& how);
  void keep_top_k(std::size_t k);
  T below_top_k(std::size_t k);
  void keep_nucleus(double p);
  bool nucleus_of_few(double p, T near);
  void nucleus_by_histogram(double p);
  void keep_above(double min_p);
  void keep_typical(double p);
  template <class Take>
  void list_blocks(T least, const Take& take);
  void list_from(T threshold);
  void weigh_list();
  template <class Keep>
  void keep_listed(const Keep& keep);
  double list_mass() const;
  template <class Key>
  void keep_best(const std::vector<Key>& keys, double before, double target);
  void separate_ends(const Filter& filter);
  void normalise(const RowFilter& how, const Filter& filter, std::size_t row, std::int64_t step);
  std::size_t draw_listed(double u) const;
  std::size_t draw_by_blocks(double u) const;
  std::size_t greedy_choice() const;
  bool is_end(std::size_t id) const;

  Row<T> row_;
  Workspace<T>& w_;
  const Kernels& k_;
  double temperature_;
  bool greedy_;
  T top_ = 0;
  kernels::WeightScale<T> weight_scale_{};
  T vanishing_ = kLowest;  // logits below it weigh nothing
  T threshold_ = kLowest;  // of the logits that are kept, unless they are listed
  bool listed_ = false;
  double others_ = 0;  // the sum of the weights of kept tokens that are no end tokens
  double scale_ = 0, end_probability_ = 0;
  bool floored_ = false;
};

}  // namespace likewise::decoding
