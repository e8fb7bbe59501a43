// What a truncation leaves: no vocabulary is sorted. Few candidates are found by a bound that the largest logits of the
// blocks give, many by a histogram; the last of them by partitioning.
#include "core/decoding/law.hpp"

namespace likewise::decoding {
namespace {

constexpr std::size_t kBuckets = 2048;  // of a histogram of logits
constexpr std::size_t kSorted = 64;     // so few are sorted, not partitioned

/// Of an offset in [0, kBuckets]. (Unsigned types of 64 bits are converted in several steps.)
template <class T>
std::size_t interval(T offset) {
  return static_cast<std::size_t>(static_cast<std::int32_t>(offset));
}

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

/// Lists what take(z, n, first, values, ids) finds in the blocks whose largest logit is not below `least`.
template <class T>
template <class Take>
void Law<T>::list_blocks(T least, const Take& take) {
  std::size_t n_found = 0;
  T piece[kBlock];
  for (std::size_t b = 0; b < w_.maxima.size(); ++b) {
    if (w_.maxima[b] < least) continue;
    if (w_.values.size() < n_found + kBlock + 16) {
      w_.values.resize(2 * (n_found + kBlock + 16));
      w_.ids.resize(w_.values.size());
    }
    std::size_t n = 0;
    const T* const z = row_.block(b, piece, &n);
    n_found += take(z, n, static_cast<std::uint32_t>(b * kBlock), &w_.values[n_found], &w_.ids[n_found]);
  }
  w_.values.resize(n_found);
  w_.ids.resize(n_found);
}

/// Lists the tokens with logits not below a threshold, by ascending id.
template <class T>
void Law<T>::list_from(T threshold) {
  list_blocks(threshold, [&](const T* z, std::size_t n, std::uint32_t first, T* values, std::uint32_t* ids) {
    return k_.gather(z, n, first, threshold, values, ids);
  });
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

/// Keeps the listed tokens of which keep(i) is true.
template <class T>
template <class Keep>
void Law<T>::keep_listed(const Keep& keep) {
  std::size_t n_kept = 0;
  for (std::size_t i = 0; i < w_.values.size(); ++i) {
    if (!keep(i)) continue;
    w_.values[n_kept] = w_.values[i];
    w_.weights[n_kept] = w_.weights[i];
    w_.ids[n_kept++] = w_.ids[i];
  }
  w_.values.resize(n_kept);
  w_.weights.resize(n_kept);
  w_.ids.resize(n_kept);
}

/// Keeps the listed tokens of the largest keys whose weights, beside `before`, first reach the target; among ties those of
/// the smallest ids. The keys may be the logits themselves.
template <class T>
template <class Key>
void Law<T>::keep_best(const std::vector<Key>& keys, double before, double target) {
  std::vector<Weighted<Key, T>> items(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) items[i] = {keys[i], w_.weights[i]};
  const Cut<Key> cut = find_cut(items, before, target);
  double mass = cut.above;
  keep_listed([&](std::size_t i) {
    if (keys[i] != cut.key) return keys[i] > cut.key;
    const bool kept = mass < target;
    mass += static_cast<double>(w_.weights[i]);
    return kept;
  });
}

template <class T>
void Law<T>::truncate(const RowFilter& how) {
  if (how.top_k > 0 && how.top_k < row_.size()) keep_top_k(how.top_k);
  if (how.top_p < 1) keep_nucleus(how.top_p);
  if (how.min_p > 0) keep_above(how.min_p);
  if (how.typical_p < 1) keep_typical(how.typical_p);
}

/// A logit that at least k are not below, if there are k, and not many more. The k-th largest of the blocks' maxima is
/// one; for more than there are blocks, logits are counted by intervals.
template <class T>
T Law<T>::below_top_k(std::size_t k) {
  if (k <= w_.maxima.size()) {
    w_.order = w_.maxima;
    std::nth_element(w_.order.begin(), w_.order.begin() + static_cast<std::ptrdiff_t>(k - 1), w_.order.end(),
                     std::greater<T>());
    return std::max(kLowest, w_.order[k - 1]);
  }
  const T least = *std::min_element(w_.maxima.begin(), w_.maxima.end());
  const T range = T(4) * (top_ - least), limit = static_cast<T>(kBuckets), factor = limit / range;
  if (!(range > 0 && range < std::numeric_limits<T>::max()) || !std::isfinite(factor)) return kLowest;
  std::vector<std::size_t> counts(kBuckets + 1);
  row_.for_pieces([&](std::size_t, const T* z, std::size_t n) {
    T at[kBlock];
    for (std::size_t first = 0; first < n; first += kBlock) {
      const std::size_t some = std::min(kBlock, n - first);
      k_.offsets(z + first, some, top_, factor, limit, at);
      for (std::size_t i = 0; i < some; ++i) ++counts[interval(at[i])];
    }
  });
  std::size_t bucket = 0, n_found = 0;
  for (; bucket < kBuckets && n_found < k; ++bucket) n_found += counts[bucket];
  // Another interval, for what rounding moves over a boundary.
  return n_found < k ? kLowest : std::max(kLowest, top_ - static_cast<T>(bucket + 1) / factor);
}

template <class T>
void Law<T>::keep_top_k(std::size_t k) {
  list_from(below_top_k(k));
  weigh_list();
  if (w_.values.size() <= k) return;
  w_.order = w_.values;
  std::nth_element(w_.order.begin(), w_.order.begin() + static_cast<std::ptrdiff_t>(k - 1), w_.order.end(),
                   std::greater<T>());
  const T bound = w_.order[k - 1];
  std::size_t ties = k;
  for (const T value : w_.values) ties -= value > bound ? 1 : 0;
  keep_listed([&](std::size_t i) { return w_.values[i] > bound || (w_.values[i] == bound && ties > 0 && ties-- > 0); });
}

template <class T>
void Law<T>::keep_nucleus(double p) {
  if (listed_) {
    keep_best(w_.values, 0, p * list_mass());
    return;
  }
  // Of a peaked row, the tokens within six temperatures of the top are few, and nearly always heavy enough.
  const T near = std::max(kLowest, static_cast<T>(static_cast<double>(top_) - 6 * temperature_));
  std::size_t n_blocks = 0;
  for (const T largest : w_.maxima) n_blocks += largest >= near ? 1 : 0;
  const bool few = n_blocks <= 8 || n_blocks <= w_.maxima.size() / 4;
  if (!few || !nucleus_of_few(p, near)) nucleus_by_histogram(p);
}

/// Whether the tokens with logits not below `near` hold the nucleus, which is then listed. How much all weigh is bounded
/// first: most weight lies in few blocks, and a rough sum of the others tells nearly always where the nucleus ends.
template <class T>
bool Law<T>::nucleus_of_few(double p, T near) {
  w_.sums.resize(row_.n_blocks());
  row_.for_pieces([&](std::size_t first, const T* z, std::size_t n) {
    k_.rough_sums(z, n, weight_scale_, &w_.sums[first / kBlock]);
  });
  double exact = 0, rough = 0;
  T piece[kBlock];
  for (std::size_t b = 0; b < w_.maxima.size(); ++b) {
    if (w_.maxima[b] < near) {
      rough += w_.sums[b];
      continue;
    }
    std::size_t n = 0;
    const T* const z = row_.block(b, piece, &n);
    k_.sums(z, n, weight_scale_, vanishing_, &w_.sums[b]);
    exact += w_.sums[b];
  }
  constexpr double kSlack = 1e-4;                                  // of the rounding of the rough sums
  constexpr double kWidest = sizeof(T) == 4 ? kernels::kRough : 1;  // those of float64 are not rough
  const double least = p * (exact + rough * (1 - kSlack) / kWidest), most = p * (exact + rough * (1 + kSlack));
  list_from(near);
  weigh_list();
  const double mass = list_mass();
  if (mass >= most) {
    keep_best(w_.values, 0, most);
    const T last = w_.weights[static_cast<std::size_t>(std::min_element(w_.values.begin(), w_.values.end()) -
                                                       w_.values.begin())];
    if (list_mass() - static_cast<double>(last) < least) return true;  // the last one is needed in any case
  }
  sum_blocks();
  double total = 0;
  for (const double sum : w_.sums) total += sum;
  T least_listed = near;
  if (mass < p * total) {  // not so near ones too, if they are not many
    least_listed = std::max(kLowest, static_cast<T>(static_cast<double>(top_) - 12 * temperature_));
    std::size_t found = 0;
    row_.for_pieces([&](std::size_t, const T* z, std::size_t n) { found += k_.count(z, n, least_listed); });
    listed_ = false;
    if (found > row_.size() / 16) return false;
  }
  list_from(least_listed);
  weigh_list();
  listed_ = list_mass() >= p * total;
  if (listed_) keep_best(w_.values, 0, p * total);
  return listed_;
}

/// The masses of intervals of logits say in which of them the last token of the nucleus is; only that one is looked at
/// closely. Tokens that weigh below (1 - p) / V of all weigh less than 1 - p together: the intervals end there.
template <class T>
void Law<T>::nucleus_by_histogram(double p) {
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
      for (std::size_t i = 0; i < some; ++i) masses[interval(at[i])] += static_cast<double>(weights[i]);
    }
  });
  double total = 0, before = 0;
  for (const double mass : masses) total += mass;
  const double target = p * total;
  std::size_t bucket = 0;
  for (; bucket < kBuckets && before + masses[bucket] < target; ++bucket) before += masses[bucket];
  list_blocks(kLowest, [&](const T* z, std::size_t n, std::uint32_t first, T* values, std::uint32_t* ids) {
    return k_.gather_between(z, n, first, top_, factor, limit, static_cast<T>(bucket), static_cast<T>(bucket + 1),
                             values, ids);
  });
  weigh_list();
  keep_listed([&](std::size_t i) { return w_.values[i] >= kLowest; });  // the last interval also holds what is masked
  if (w_.values.empty()) return;                                        // all is needed, as far as rounding can tell
  w_.order = w_.values;
  keep_best(w_.values, before, target);
  threshold_ = *std::min_element(w_.values.begin(), w_.values.end());
  const auto ties = [&](const std::vector<T>& values) {
    return static_cast<std::size_t>(std::count(values.begin(), values.end(), threshold_));
  };
  std::size_t kept_ties = ties(w_.values);
  if (kept_ties == ties(w_.order)) {
    w_.values.clear();
    w_.ids.clear();
    w_.weights.clear();
    return;
  }
  // Some ties are out: those of the largest ids.
  list_from(threshold_);
  weigh_list();
  keep_listed([&](std::size_t i) { return w_.values[i] > threshold_ || (kept_ties > 0 && kept_ties-- > 0); });
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
  keep_listed([&](std::size_t i) { return w_.values[i] >= least; });
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

// The rest of the class stands in law.cpp.
template void Law<float>::truncate(const RowFilter&);
template void Law<double>::truncate(const RowFilter&);
template double Law<float>::list_mass() const;
template double Law<double>::list_mass() const;

}  // namespace likewise::decoding
