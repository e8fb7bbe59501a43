// The k largest (score, document) pairs seen, as integer keys: a larger score first, then a smaller document.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace likewise::search {

/// Scores are >= 0, so that their bits order as they do.
inline std::uint64_t score_bits(float score) {
  std::uint32_t bits;
  std::memcpy(&bits, &score, sizeof bits);
  return bits;
}
inline std::uint64_t score_bits(double score) {
  std::uint64_t bits;
  std::memcpy(&bits, &score, sizeof bits);
  return bits;
}

template <class T>
struct Key;
template <>
struct Key<float> {
  std::uint64_t value = 0;
  Key() = default;
  Key(float score, std::uint32_t document) : value(score_bits(score) << 32 | static_cast<std::uint32_t>(~document)) {}
  bool operator>(const Key& other) const { return value > other.value; }
  std::uint32_t document() const { return ~static_cast<std::uint32_t>(value); }
  float score() const {
    const std::uint32_t bits = static_cast<std::uint32_t>(value >> 32);
    float score;
    std::memcpy(&score, &bits, sizeof score);
    return score;
  }
};
template <>
struct Key<double> {
  std::uint64_t bits = 0;
  std::uint32_t inverted = 0;
  Key() = default;
  Key(double score, std::uint32_t document) : bits(score_bits(score)), inverted(~document) {}
  bool operator>(const Key& other) const { return bits != other.bits ? bits > other.bits : inverted > other.inverted; }
  std::uint32_t document() const { return ~inverted; }
  double score() const {
    double score;
    std::memcpy(&score, &bits, sizeof score);
    return score;
  }
};

template <class T>
class TopK {
 public:
  /// `at_least`: a score that the k-th best is known to reach, or 0.
  void start(std::size_t k, T at_least) {
    k_ = k;
    keys_.clear();
    capacity_ = std::max<std::size_t>(2 * k, k + 64);
    // Below every document of that very score, above every lower score.
    threshold_ = at_least > 0 ? Key<T>(at_least, 0xFFFFFFFFu) : Key<T>();
  }
  void push(T score, std::uint32_t document) {
    const Key<T> key(score, document);
    if (!(key > threshold_)) return;
    keys_.push_back(key);
    if (keys_.size() >= capacity_) shrink();
  }
  /// A later document needs more than this, an earlier one this at least.
  T threshold() const { return threshold_.score(); }
  /// Lets the threshold use what is known now.
  void tighten() {
    if (keys_.size() > k_ && k_ > 0) shrink();
  }
  const std::vector<Key<T>>& finish() {
    if (keys_.size() > k_) shrink();
    std::sort(keys_.begin(), keys_.end(), std::greater<Key<T>>());
    return keys_;
  }

 private:
  void shrink() {
    std::nth_element(keys_.begin(), keys_.begin() + static_cast<std::ptrdiff_t>(k_ - 1), keys_.end(),
                     std::greater<Key<T>>());
    keys_.resize(k_);
    if (keys_.back() > threshold_) threshold_ = keys_.back();
  }
  std::size_t k_ = 0, capacity_ = 0;
  Key<T> threshold_;
  std::vector<Key<T>> keys_;
};

}  // namespace likewise::search
