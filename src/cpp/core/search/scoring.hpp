// The formulas, in float64. `impact` is idf * (f(tf, L) - f(0)) with f(0) = 0 unless documents without the term count;
// `baseline` is idf * f(0).
#pragma once
#include <algorithm>
#include <cmath>

#include "likewise/search/index.hpp"

namespace likewise::search {

class Formula {
 public:
  Formula(const Scoring& scoring, double n_docs, double average_length)
      : scoring_(scoring), n_docs_(n_docs), length_slope_(average_length > 0 ? scoring.b / average_length : 0.0) {}

  /// ln((N - n + .5) / (n + .5)), which robertson, bm25 and okapi cut in different ways.
  double odds(double n) const { return std::log((n_docs_ - n + 0.5) / (n + 0.5)); }

  double idf(double n) const {
    switch (scoring_.variant) {
      case Variant::lucene: return std::log1p((n_docs_ - n + 0.5) / (n + 0.5));
      case Variant::robertson: return std::max(0.0, odds(n));
      case Variant::atire: return std::log(n_docs_ / n);
      case Variant::bm25l: return std::log((n_docs_ + 1) / (n + 0.5));
      case Variant::bm25plus: return std::log((n_docs_ + 1) / n);
      case Variant::bm25: return std::max(1e-6, odds(n));
      case Variant::okapi: return odds(n) >= 0 ? odds(n) : okapi_floor_;
    }
    return 0.0;
  }
  void set_okapi_floor(double mean_odds) { okapi_floor_ = std::max(0.0, 0.25 * mean_odds); }

  /// L = 1 - b + b dl / avgdl.
  double length_factor(std::uint32_t length) const { return 1.0 - scoring_.b + length_slope_ * length; }

  /// f(tf, L) - f(0); tf > 0.
  double gain(double tf, double length) const {
    const double k1 = scoring_.k1, delta = scoring_.delta, saturation = tf / (tf + k1 * length);
    switch (scoring_.variant) {
      case Variant::lucene:
      case Variant::robertson: return saturation;
      case Variant::atire:
      case Variant::bm25:
      case Variant::okapi: return (k1 + 1) * saturation;
      case Variant::bm25plus: return (k1 + 1) * saturation + (scoring_.nonoccurrence ? 0.0 : delta);
      case Variant::bm25l: {
        const double c = tf / length;
        if (scoring_.nonoccurrence && k1 + delta > 0)  // the difference of the two fractions, without cancellation
          return (k1 + 1) * k1 * c / ((k1 + c + delta) * (k1 + delta));
        return (k1 + 1) * (c + delta) / (k1 + c + delta);
      }
    }
    return 0.0;
  }

  /// No gain is above this.
  double largest_gain() const {
    switch (scoring_.variant) {
      case Variant::lucene:
      case Variant::robertson: return 1.0;
      case Variant::bm25plus: return scoring_.k1 + 1 + (scoring_.nonoccurrence ? 0.0 : scoring_.delta);
      default: return scoring_.k1 + 1;
    }
  }

  /// f(0), where it counts.
  double absent() const {
    if (!scoring_.nonoccurrence) return 0.0;
    if (scoring_.variant == Variant::bm25plus) return scoring_.delta;
    if (scoring_.variant == Variant::bm25l && scoring_.k1 + scoring_.delta > 0)
      return (scoring_.k1 + 1) * scoring_.delta / (scoring_.k1 + scoring_.delta);
    return 0.0;
  }

 private:
  Scoring scoring_;
  double n_docs_, length_slope_, okapi_floor_ = 0.0;
};

}  // namespace likewise::search
