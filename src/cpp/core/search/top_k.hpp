// The k largest (score, document) pairs seen, as integer keys: a larger score first, then a smaller document.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

namespace likewise::search {

/// One unsigned number a pair: the score's bits (scores are >= 0, so they order as the scores do), then the inverted
/// document.
template <class T>
struct Key;
template <>
struct Key<float> {
  using Value = std::uint64_t;
  using Bits = std::uint32_t;
};
template <>
struct Key<double> {
  __extension__ using Value = unsigned __int128;
  using Bits = std::uint64_t;
};

template <class T>
class TopK {
 public:
  using Value = typename Key<T>::Value;

  static Value key(T score, std::uint32_t document) {
    typename Key<T>::Bits bits;
    std::memcpy(&bits, &score, sizeof bits);
    return Value{bits} << 32 | static_cast<std::uint32_t>(~document);
  }
  static std::uint32_t document(Value key) { return ~static_cast<std::uint32_t>(key); }
  static T score(Value key) {
    const auto bits = static_cast<typename Key<T>::Bits>(key >> 32);
    T score;
    std::memcpy(&score, &bits, sizeof score);
    return score;
  }

  /// `at_least`: a score that the k-th best is known to reach, or 0.
  void start(std::size_t k, T at_least) {
    k_ = k;
    guessed_ = false;
    keys_.clear();
    capacity_ = std::max<std::size_t>(3 * k, k + 64);
    // Below every document of that very score, above every lower score.
    threshold_ = at_least > 0 ? key(at_least, 0xFFFFFFFFu) : Value{0};
  }
  void push(T score, std::uint32_t document) {
    const Value pushed = key(score, document);
    if (!(pushed > threshold_)) return;
    keys_.push_back(pushed);
    if (keys_.size() >= capacity_) shrink(k_);
  }
  /// A later document needs more than this, an earlier one this at least.
  T threshold() const { return score(threshold_); }
  /// Lets the threshold use what is known now.
  void tighten() {
    if (keys_.size() >= k_ && k_ > 0) shrink(k_);
  }
  /// Keeps the n largest only, and from now on what is larger. Where fewer than k are left in the end, it was a
  /// mistake.
  void guess(std::size_t n) {
    if (n >= keys_.size() || n == 0) return;
    shrink(n);
    guessed_ = true;
  }
  bool guessed() const { return guessed_; }
  std::size_t size() const { return keys_.size(); }
  const std::vector<Value>& finish() {
    if (keys_.size() > k_) shrink(k_);
    sort();
    return keys_;
  }

 private:
  static constexpr std::size_t kBuckets = 1024, kFew = 96;

  /// Where the keys lie: bucket(key) ascends with the key and spreads them over kBuckets.
  struct Spread {
    Value least;
    int shift = 0;
    std::size_t bucket(Value key) const { return static_cast<std::size_t>((key - least) >> shift); }
  };
  Spread spread() {
    const auto [least, most] = std::minmax_element(keys_.begin(), keys_.end());
    Spread s{*least};
    while (((*most - s.least) >> s.shift) >= kBuckets) ++s.shift;
    counts_.assign(kBuckets, 0);
    for (const Value key : keys_) ++counts_[s.bucket(key)];
    return s;
  }

  /// Keeps the n largest. All keys differ, as all documents do.
  void shrink(std::size_t n) {
    const auto middle = [&](auto begin, std::size_t rank) {
      std::nth_element(begin, begin + static_cast<std::ptrdiff_t>(rank - 1), keys_.end(), std::greater<Value>());
    };
    if (keys_.size() <= kFew) {
      middle(keys_.begin(), n);
    } else {
      const Spread s = spread();
      std::size_t bucket = kBuckets, above = 0;  // `above` keys lie above `bucket`, the n-th largest in it
      while (above + counts_[--bucket] < n) above += counts_[bucket];
      const Value low = s.least + (Value{bucket} << s.shift), high = s.least + (Value{bucket + 1} << s.shift);
      // Without branches: those above the bucket to the front, those in it aside.
      scratch_.resize(keys_.size() + 1);
      std::size_t n_front = 0, n_aside = 0;
      for (std::size_t i = 0; i < keys_.size(); ++i) {
        const Value key = keys_[i];
        scratch_[n_aside] = key;
        n_aside += key >= low && key < high;
        keys_[n_front] = key;
        n_front += key >= high;
      }
      std::copy_n(scratch_.begin(), n_aside, keys_.begin() + static_cast<std::ptrdiff_t>(n_front));
      keys_.resize(n_front + n_aside);
      middle(keys_.begin() + static_cast<std::ptrdiff_t>(n_front), n - n_front);
    }
    keys_.resize(n);
    if (keys_.back() > threshold_) threshold_ = keys_.back();
  }

  /// Descending: one pass by buckets, then each bucket, most of which are small.
  void sort() {
    if (keys_.size() <= kFew) return std::sort(keys_.begin(), keys_.end(), std::greater<Value>());
    const Spread s = spread();
    std::size_t at = 0;
    for (std::size_t bucket = kBuckets; bucket-- > 0;)
      at += std::exchange(counts_[bucket], static_cast<std::uint32_t>(at));
    scratch_.resize(keys_.size());
    for (const Value key : keys_) scratch_[counts_[s.bucket(key)]++] = key;
    for (std::size_t bucket = kBuckets, begin = 0; bucket-- > 0; begin = counts_[bucket]) {
      const std::size_t end = counts_[bucket];
      if (end - begin > 1)
        std::sort(scratch_.begin() + static_cast<std::ptrdiff_t>(begin),
                  scratch_.begin() + static_cast<std::ptrdiff_t>(end), std::greater<Value>());
    }
    keys_.swap(scratch_);
  }

  std::size_t k_ = 0, capacity_ = 0;
  bool guessed_ = false;
  Value threshold_ = 0;
  std::vector<Value> keys_, scratch_;
  std::vector<std::uint32_t> counts_;
};

}  // namespace likewise::search
