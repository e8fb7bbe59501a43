#include "core/decoding/law.hpp"

#include <string>

namespace likewise::decoding {
namespace {

constexpr double kLog2E = 1.4426950408889634;

kernels::WeightScale<float> scale_of(float top, double temperature) {
  return {top, static_cast<float>(kLog2E / temperature)};
}
kernels::WeightScale<double> scale_of(double top, double temperature) { return {0.5 * top, 0.5 * temperature}; }

}  // namespace

RowFilter row_filter(const Filter& filter, span<const std::int64_t> steps, std::size_t row) {
  const auto of = [row](const auto& values) { return values[values.size() == 1 ? 0 : row]; };
  const std::int64_t step = steps[steps.size == 1 ? 0 : row];
  return {of(filter.temperature), of(filter.top_p),
          of(filter.min_p),       of(filter.typical_p),
          static_cast<std::size_t>(of(filter.top_k)),
          filter.epsilon > 0 ? floor_value(filter.epsilon, filter.start, step) : 0};
}

bool fits_float(Element element, double temperature) {
  return element != Element::float64 && (temperature == 0 || (temperature >= 1e-30 && temperature <= 1e30));
}

template <class T>
Law<T>::Law(const Logits& logits, const Filter& filter, const RowFilter& how, std::size_t row, std::int64_t step,
            bool probabilities, Workspace<T>& workspace)
    : row_(logits, row),
      w_(workspace),
      k_(sampling_kernels<T>()),
      temperature_(how.temperature == 0 ? 1 : how.temperature),
      greedy_(how.temperature == 0) {
  measure(row);
  if (greedy_ && !probabilities && how.floor == 0) return;
  if (!greedy_) truncate(how);
  separate_ends(filter);
  normalise(how, filter, row, step);
}

/// The largest logit of each block, and what follows from the largest of all.
template <class T>
void Law<T>::measure(std::size_t row) {
  w_.maxima.resize(row_.n_blocks());
  w_.ids.clear();
  w_.values.clear();
  w_.weights.clear();
  bool fine = true;
  row_.for_pieces([&](std::size_t first, const T* z, std::size_t n) {
    fine = k_.maxima(z, n, &w_.maxima[first / kBlock]) && fine;
  });
  const auto refuse = [&](const char* expected, const char* got) {
    throw value_error(std::string("logits: expected ") + expected + ", got " + got + " at row " + std::to_string(row));
  };
  if (!fine) {
    const char* got = "+infinity";
    for (std::size_t i = row_.size(); i-- > 0;)
      if (std::isnan(row_.at(i))) got = "NaN";
    refuse("finite numbers or -infinity", got);
  }
  top_ = *std::max_element(w_.maxima.begin(), w_.maxima.end());
  if (!(top_ >= kLowest)) refuse("a finite number", "-infinity only");
  weight_scale_ = scale_of(top_, temperature_);
  constexpr double reach = sizeof(T) == 4 ? 125 / kLog2E : 707;
  const double vanishing = static_cast<double>(top_) - reach * temperature_;
  vanishing_ = vanishing > static_cast<double>(kLowest) ? static_cast<T>(vanishing) : kLowest;
}

template <class T>
void Law<T>::sum_blocks() {
  w_.sums.resize(row_.n_blocks());
  const T lowest = std::max(vanishing_, threshold_);
  row_.for_pieces([&](std::size_t first, const T* z, std::size_t n) {
    k_.sums(z, n, weight_scale_, lowest, &w_.sums[first / kBlock]);
  });
}

template <class T>
void Law<T>::separate_ends(const Filter& filter) {
  w_.ends.clear();
  for (const std::int64_t eos : filter.eos) {
    const std::size_t id = static_cast<std::size_t>(eos);
    const T z = row_.at(id);
    bool survived = z >= threshold_;
    if (listed_) {
      const auto at = std::lower_bound(w_.ids.begin(), w_.ids.end(), static_cast<std::uint32_t>(id));
      survived = at != w_.ids.end() && *at == id;
      if (survived) {
        const auto i = at - w_.ids.begin();
        w_.ids.erase(at);
        w_.values.erase(w_.values.begin() + i);
        w_.weights.erase(w_.weights.begin() + i);
      }
    }
    if (z >= kLowest && (survived || filter.consistent || greedy_)) {
      const double x = exponent(z);
      w_.ends.push_back({id, x, std::exp(x), 0});
    }
  }
}

template <class T>
void Law<T>::normalise(const RowFilter& how, const Filter& filter, std::size_t row, std::int64_t step) {
  if (listed_) {
    others_ = list_mass();
  } else {
    sum_blocks();
    // Blocks with end tokens are summed up again without them: nothing is lost where they weigh nearly all.
    T piece[kBlock], copy[kBlock];
    for (const std::int64_t eos : filter.eos) {
      const std::size_t b = static_cast<std::size_t>(eos) / kBlock;
      std::size_t n = 0;
      const T* const z = row_.block(b, piece, &n);
      std::copy_n(z, n, copy);
      for (const std::int64_t other : filter.eos)
        if (static_cast<std::size_t>(other) / kBlock == b)
          copy[static_cast<std::size_t>(other) % kBlock] = -std::numeric_limits<T>::infinity();
      k_.sums(copy, n, weight_scale_, std::max(vanishing_, threshold_), &w_.sums[b]);
    }
    others_ = 0;
    for (const double sum : w_.sums) others_ += sum;
  }
  double of_ends = 0;
  for (const EndToken& end : w_.ends) of_ends += end.weight;
  floored_ = how.floor > 0 && !w_.ends.empty();
  if (how.floor > 0 && w_.ends.empty() && !filter.skip_masked)
    throw value_error("logits: expected an end token with a finite logit, as the floor is in force, got -infinity at row " +
                      std::to_string(row) + ", step " + std::to_string(step) +
                      " [masked_eos='skip' goes on without a floor]");
  const double total = others_ + of_ends, plain = of_ends / total;
  end_probability_ = plain;
  scale_ = 1 / total;
  double of_end = scale_;
  if (floored_ && how.floor > plain) {
    end_probability_ = others_ > 0 ? how.floor : 1;
    scale_ = others_ > 0 ? (1 - how.floor) / others_ : 0;
    of_end = of_ends > 0 ? end_probability_ / of_ends : 0;
  }
  for (EndToken& end : w_.ends) end.probability = end.weight * of_end;
  if (floored_ && of_ends == 0) w_.ends.front().probability = end_probability_;
}

template <class T>
bool Law<T>::is_end(std::size_t id) const {
  return std::any_of(w_.ends.begin(), w_.ends.end(), [id](const EndToken& end) { return end.id == id; });
}

template <class T>
std::size_t Law<T>::draw(double u) const {
  if (greedy_) return greedy_choice();
  return listed_ ? draw_listed(u) : draw_by_blocks(u);
}

template <class T>
std::size_t Law<T>::draw_listed(double u) const {
  std::vector<EndToken> ends(w_.ends);
  std::sort(ends.begin(), ends.end(), [](const EndToken& a, const EndToken& b) { return a.id < b.id; });
  double cumulative = 0;
  std::size_t last = row_.size();
  auto end = ends.begin();
  for (std::size_t i = 0; i <= w_.ids.size(); ++i) {
    const std::size_t id = i < w_.ids.size() ? w_.ids[i] : row_.size();
    for (; end != ends.end() && end->id < id; ++end) {
      cumulative += end->probability;
      if (end->probability > 0) last = end->id;
      if (cumulative > u) return end->id;
    }
    if (i == w_.ids.size()) break;
    const double probability = static_cast<double>(w_.weights[i]) * scale_;
    cumulative += probability;
    if (probability > 0) last = id;
    if (cumulative > u) return id;
  }
  return last;
}

template <class T>
std::size_t Law<T>::draw_by_blocks(double u) const {
  std::vector<EndToken> ends(w_.ends);
  std::sort(ends.begin(), ends.end(), [](const EndToken& a, const EndToken& b) { return a.id < b.id; });
  double cumulative = 0;
  std::size_t last = row_.size();
  auto end = ends.begin();
  T piece[kBlock], weights[kBlock];
  for (std::size_t b = 0; b < w_.sums.size(); ++b) {
    const std::size_t first = b * kBlock;
    double mass = w_.sums[b] * scale_;
    for (auto at = end; at != ends.end() && at->id < first + kBlock; ++at) mass += at->probability;
    const bool is_last = b + 1 == w_.sums.size();
    if (cumulative + mass <= u && !is_last) {
      cumulative += mass;
      while (end != ends.end() && end->id < first + kBlock) ++end;
      continue;
    }
    std::size_t n = 0;
    const T* const z = row_.block(b, piece, &n);
    k_.weights(z, n, weight_scale_, std::max(vanishing_, threshold_), weights);
    for (std::size_t i = 0; i < n; ++i) {
      double probability = static_cast<double>(weights[i]) * scale_;
      if (end != ends.end() && end->id == first + i) {
        probability = end->probability;
        ++end;
      }
      cumulative += probability;
      if (probability > 0) last = first + i;
      if (cumulative > u) return first + i;
    }
  }
  return last;
}

template <class T>
std::size_t Law<T>::greedy_choice() const {
  // The best token that is no end token, where a floor is in force: the smallest id among the largest logits.
  std::size_t best = row_.size();
  T most = -std::numeric_limits<T>::infinity();
  T piece[kBlock];
  for (std::size_t b = 0; b < w_.maxima.size(); ++b) {
    if (w_.maxima[b] <= most) continue;
    std::size_t n = 0;
    const T* const z = row_.block(b, piece, &n);
    for (std::size_t i = 0; i < n; ++i)
      if (z[i] > most && !(floored_ && is_end(b * kBlock + i))) {
        most = z[i];
        best = b * kBlock + i;
      }
  }
  if (!floored_) return best;
  const double other = best == row_.size() ? 0 : std::exp(exponent(most)) * scale_;
  if (end_probability_ < other) return best;
  const EndToken* chosen = &w_.ends.front();
  for (const EndToken& end : w_.ends)
    if (end.probability > chosen->probability || (end.probability == chosen->probability && end.id < chosen->id))
      chosen = &end;
  return chosen->id;
}

template <class T>
double Law<T>::log_probability(std::size_t id) const {
  for (const EndToken& end : w_.ends)
    if (end.id == id) {
      const double factor = end.weight > 0 ? end.probability / end.weight : 0;
      return factor > 0 ? end.exponent + std::log(factor) : std::log(end.probability);
    }
  return exponent(row_.at(id)) + std::log(scale_);
}

template <class T>
std::size_t Law<T>::kept() const {
  if (greedy_) return 1;
  if (scale_ == 0) return w_.ends.size();
  if (listed_) return w_.ids.size() + w_.ends.size();
  std::size_t found = 0;
  row_.for_pieces([&](std::size_t, const T* z, std::size_t n) { found += k_.count(z, n, threshold_); });
  for (const EndToken& end : w_.ends) found += row_.at(end.id) >= threshold_ ? 0 : 1;
  return found;
}

template class Law<float>;
template class Law<double>;

}  // namespace likewise::decoding
