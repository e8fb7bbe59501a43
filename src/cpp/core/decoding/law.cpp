#include "core/decoding/law.hpp"

#include <string>

namespace likewise::decoding {
namespace {

constexpr double kLog2E = 1.4426950408889634;
constexpr std::size_t kBuckets = 2048;  // of the histogram of weights
constexpr std::size_t kSorted = 64;     // so few are sorted, not partitioned

kernels::WeightScale<float> scale_of(float top, double temperature) {
  return {top, static_cast<float>(kLog2E / temperature)};
}
kernels::WeightScale<double> scale_of(double top, double temperature) { return {0.5 * top, 0.5 * temperature}; }

template <class Key, class T>
struct Weighted {
  Key key;
  T weight;
};

/// Where the heaviest keys reach a mass: keys above `key` are all in, and hold `above`; of its ties as many as it takes.
template <class Key>
struct Cut {
  Key key;
  double above;
};

/// The largest keys whose weights, beside the mass `above`, first reach `target`; the smallest key if none does. Expected
/// time n, at most n log n.
template <class Key, class T>
Cut<Key> find_cut(std::vector<Weighted<Key, T>>& items, double above, double target) {
  const auto larger = [](const Weighted<Key, T>& a, const Weighted<Key, T>& b) { return a.key > b.key; };
  auto begin = items.begin(), end = items.end();
  for (int round = 0; end - begin > static_cast<std::ptrdiff_t>(kSorted) && round < 64; ++round) {
    const Key a = begin->key, b = begin[(end - begin) / 2].key, c = (end - 1)->key;
    const Key pivot = std::max(std::min(a, b), std::min(std::max(a, b), c));
    const auto equal = std::partition(begin, end, [&](const Weighted<Key, T>& x) { return x.key > pivot; });
    const auto less = std::partition(equal, end, [&](const Weighted<Key, T>& x) { return x.key == pivot; });
    double of_larger = above;
    for (auto at = begin; at != equal; ++at) of_larger += static_cast<double>(at->weight);
    if (of_larger >= target) {
      end = equal;
      continue;
    }
    double of_equal = of_larger;
    for (auto at = equal; at != less; ++at) of_equal += static_cast<double>(at->weight);
    if (of_equal >= target || less == end) return {pivot, of_larger};
    above = of_equal;
    begin = less;
  }
  std::sort(begin, end, larger);
  double mass = above, before = above;
  for (auto at = begin; at != end; ++at) {
    if (at == begin || at->key != (at - 1)->key) before = mass;
    mass += static_cast<double>(at->weight);
    if (mass >= target) return {at->key, before};
  }
  return {(end - 1)->key, before};
}

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

/// Lists the tokens with logits not below a threshold, by ascending id.
template <class T>
void Law<T>::list_from(T threshold) {
  std::size_t n_found = 0;
  T piece[kBlock];
  for (std::size_t b = 0; b < w_.maxima.size(); ++b) {
    if (w_.maxima[b] < threshold) continue;
    if (w_.values.size() < n_found + kBlock + 16) {
      w_.values.resize(2 * (n_found + kBlock + 16));
      w_.ids.resize(w_.values.size());
    }
    std::size_t n = 0;
    const T* const z = row_.block(b, piece, &n);
    n_found += k_.gather(z, n, static_cast<std::uint32_t>(b * kBlock), threshold, &w_.values[n_found], &w_.ids[n_found]);
  }
  w_.values.resize(n_found);
  w_.ids.resize(n_found);
  listed_ = true;
}

template <class T>
void Law<T>::weigh_list() {
  w_.weights.resize(w_.values.size());
  k_.weights(w_.values.data(), w_.values.size(), weight_scale_, vanishing_, w_.weights.data());
}

template <class T>
double Law<T>::list_mass() const {
  double mass = 0;
  for (const T weight : w_.weights) mass += static_cast<double>(weight);
  return mass;
}

/// Keeps the listed tokens of the largest keys whose weights, beside `before`, first reach the target; among ties those of
/// the smallest ids.
template <class T>
template <class Key>
void Law<T>::keep_best(const std::vector<Key>& keys, double before, double target) {
  std::vector<Weighted<Key, T>> items(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) items[i] = {keys[i], w_.weights[i]};
  const Cut<Key> cut = find_cut(items, before, target);
  double mass = cut.above;
  std::size_t n_kept = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const Key key = keys[i];
    if (key < cut.key || (key == cut.key && mass >= target)) continue;
    if (key == cut.key) mass += static_cast<double>(w_.weights[i]);
    w_.values[n_kept] = w_.values[i];
    w_.weights[n_kept] = w_.weights[i];
    w_.ids[n_kept++] = w_.ids[i];
  }
  w_.values.resize(n_kept);
  w_.weights.resize(n_kept);
  w_.ids.resize(n_kept);
}

template <class T>
void Law<T>::truncate(const RowFilter& how) {
  if (how.top_k > 0 && how.top_k < row_.size()) keep_top_k(how.top_k);
  if (how.top_p < 1) keep_nucleus(how.top_p);
  if (how.min_p > 0) keep_above(how.min_p);
  if (how.typical_p < 1) keep_typical(how.typical_p);
}

/// The k-th largest of the blocks' maxima is not above the k-th largest logit: few are listed.
template <class T>
void Law<T>::keep_top_k(std::size_t k) {
  const auto kth_largest = [&](const std::vector<T>& values) {
    w_.order = values;
    std::nth_element(w_.order.begin(), w_.order.begin() + static_cast<std::ptrdiff_t>(k - 1), w_.order.end(),
                     std::greater<T>());
    return w_.order[k - 1];
  };
  list_from(std::max(kLowest, k <= w_.maxima.size() ? kth_largest(w_.maxima) : kLowest));
  if (w_.values.size() > k) {
    const T bound = kth_largest(w_.values);
    std::size_t n_above = 0, n_kept = 0;
    for (const T value : w_.values) n_above += value > bound ? 1 : 0;
    std::size_t ties = k - n_above;
    for (std::size_t i = 0; i < w_.values.size(); ++i) {
      const T value = w_.values[i];
      if (value < bound || (value == bound && ties == 0)) continue;
      if (value == bound) --ties;
      w_.values[n_kept] = value;
      w_.ids[n_kept++] = w_.ids[i];
    }
    w_.values.resize(n_kept);
    w_.ids.resize(n_kept);
  }
  weigh_list();
}

template <class T>
void Law<T>::keep_nucleus(double p) {
  if (listed_) {
    keep_best(std::vector<T>(w_.values), 0, p * list_mass());
    return;
  }
  sum_blocks();
  double total = 0;
  for (const double sum : w_.sums) total += sum;
  const double target = p * total;
  if (!nucleus_of_few(target)) nucleus_by_histogram(p, target);
}

/// Where the tokens within six temperatures of the top are few and heavy enough. Returns whether they are.
template <class T>
bool Law<T>::nucleus_of_few(double target) {
  const T near = std::max(kLowest, static_cast<T>(static_cast<double>(top_) - 6 * temperature_));
  std::size_t n_blocks = 0;
  for (const T largest : w_.maxima) n_blocks += largest >= near ? 1 : 0;
  if (n_blocks > 8 && n_blocks > w_.maxima.size() / 4) return false;
  list_from(near);
  weigh_list();
  if (list_mass() < target) {
    listed_ = false;
    return false;
  }
  keep_best(std::vector<T>(w_.values), 0, target);
  return true;
}

/// The masses of intervals of logits say in which of them the last token of the nucleus is; only that one is looked at
/// closely. Tokens that weigh below (1 - p) / V of all weigh less than 1 - p together: the intervals end there.
template <class T>
void Law<T>::nucleus_by_histogram(double p, double target) {
  const double range = std::min(std::log(static_cast<double>(row_.size()) / (1 - p)), 700.0) * temperature_;
  const T limit = static_cast<T>(kBuckets);
  const T factor = static_cast<T>(std::min(static_cast<double>(kBuckets) / range,
                                           static_cast<double>(std::numeric_limits<T>::max())));
  std::vector<double>& masses = w_.masses;
  masses.assign(kBuckets + 1, 0);
  row_.for_pieces([&](std::size_t, const T* z, std::size_t n) {
    T at[kBlock], weights[kBlock];
    for (std::size_t first = 0; first < n; first += kBlock) {
      const std::size_t some = std::min(kBlock, n - first);
      k_.offsets(z + first, some, top_, factor, limit, at);
      k_.weights(z + first, some, weight_scale_, vanishing_, weights);
      for (std::size_t i = 0; i < some; ++i) masses[static_cast<std::size_t>(at[i])] += static_cast<double>(weights[i]);
    }
  });
  double before = 0;
  std::size_t bucket = 0;
  for (; bucket < kBuckets && before + masses[bucket] < target; ++bucket) before += masses[bucket];
  std::size_t n_found = 0;
  row_.for_pieces([&](std::size_t first, const T* z, std::size_t n) {
    w_.values.resize(n_found + n + 16);
    w_.ids.resize(n_found + n + 16);
    n_found += k_.gather_between(z, n, static_cast<std::uint32_t>(first), top_, factor, limit, static_cast<T>(bucket),
                                 static_cast<T>(bucket + 1), &w_.values[n_found], &w_.ids[n_found]);
  });
  std::size_t n_finite = 0;  // the last interval also holds what is masked
  for (std::size_t i = 0; i < n_found; ++i) {
    if (!(w_.values[i] >= kLowest)) continue;
    w_.values[n_finite] = w_.values[i];
    w_.ids[n_finite++] = w_.ids[i];
  }
  w_.values.resize(n_finite);
  w_.ids.resize(n_finite);
  if (n_finite == 0) return;  // all is needed, as far as rounding can tell
  weigh_list();
  const std::vector<T> in_bucket(w_.values);
  keep_best(in_bucket, before, target);
  const T last = *std::min_element(w_.values.begin(), w_.values.end());
  const auto ties = [&](const std::vector<T>& values) { return std::count(values.begin(), values.end(), last); };
  const auto dropped = static_cast<std::size_t>(ties(in_bucket) - ties(w_.values));
  threshold_ = last;
  if (dropped == 0) {
    w_.values.clear();
    w_.ids.clear();
    w_.weights.clear();
    return;
  }
  // Ties at the end: those of the largest ids go.
  list_from(last);
  std::size_t to_drop = dropped, n_kept = w_.values.size();
  for (std::size_t i = n_kept; i-- > 0 && to_drop > 0;)
    if (w_.values[i] == last) {
      w_.values[i] = -std::numeric_limits<T>::infinity();
      --to_drop;
    }
  n_kept = 0;
  for (std::size_t i = 0; i < w_.values.size(); ++i) {
    if (!(w_.values[i] >= kLowest)) continue;
    w_.values[n_kept] = w_.values[i];
    w_.ids[n_kept++] = w_.ids[i];
  }
  w_.values.resize(n_kept);
  w_.ids.resize(n_kept);
  weigh_list();
}

/// p_i >= min_p max p, in logits.
template <class T>
void Law<T>::keep_above(double min_p) {
  const double bound = static_cast<double>(top_) + temperature_ * std::log(min_p);
  T least = bound > static_cast<double>(kLowest) ? static_cast<T>(bound) : kLowest;
  if (static_cast<double>(least) < bound) least = std::nextafter(least, top_);
  if (!listed_) {
    threshold_ = std::max(threshold_, least);
    return;
  }
  std::size_t n_kept = 0;
  for (std::size_t i = 0; i < w_.values.size(); ++i) {
    if (w_.values[i] < least) continue;
    w_.values[n_kept] = w_.values[i];
    w_.weights[n_kept] = w_.weights[i];
    w_.ids[n_kept++] = w_.ids[i];
  }
  w_.values.resize(n_kept);
  w_.weights.resize(n_kept);
  w_.ids.resize(n_kept);
}

/// With the entropy H = ln S - m, m the mean exponent, |-ln p_i - H| is the distance of an exponent from m.
template <class T>
void Law<T>::keep_typical(double p) {
  if (!listed_) {
    list_from(threshold_);
    weigh_list();
  }
  double total = 0, mean = 0;
  for (std::size_t i = 0; i < w_.values.size(); ++i) {
    const double weight = static_cast<double>(w_.weights[i]);
    total += weight;
    if (weight > 0) mean += weight * exponent(w_.values[i]);
  }
  mean /= total;
  w_.keys.resize(w_.values.size());
  for (std::size_t i = 0; i < w_.values.size(); ++i) w_.keys[i] = -std::fabs(exponent(w_.values[i]) - mean);
  keep_best(w_.keys, 0, p * total);
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
