#include "likewise/transport/one_dimensional.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

namespace likewise::transport {
namespace {

/// Sums of many terms >= 0: four chains that do not wait for one another, folded away before they lose digits.
class Sum {
 public:
  void add(double term) {
    chains_[count_ % 4] += term;
    if (++count_ % 1024 == 0) fold();
  }
  double value() {
    fold();
    return total_;
  }

 private:
  void fold() {
    total_ += (chains_[0] + chains_[1]) + (chains_[2] + chains_[3]);
    std::fill(chains_, chains_ + 4, 0.0);
  }
  double chains_[4] = {}, total_ = 0;
  std::size_t count_ = 0;
};

struct First {
  double operator()(double d) const { return std::abs(d); }
};
struct Second {
  double operator()(double d) const { return d * d; }
};
struct Power {
  double p;
  double operator()(double d) const { return std::pow(std::abs(d), p); }
};

/// Both sides step by step: what is left of the two present points is sent, until one of the sides ends. Mass is
/// counted, where both are uniform, in whole units.
template <class T, class Mass, class LeftOf, class RightOf, class Cost>
double walk(const SortedPoints<T>& x, const SortedPoints<T>& y, const LeftOf& left_of, const RightOf& right_of,
            const Cost& cost, double scale) {
  Sum sum;
  std::size_t i = 0, j = 0;
  Mass left = left_of(0), right = right_of(0);
  for (;;) {
    const Mass sent = std::min(left, right);
    const double gap = static_cast<double>(x.points[i]) * scale - static_cast<double>(y.points[j]) * scale;
    sum.add(static_cast<double>(sent) * cost(gap));
    left -= sent;
    right -= sent;
    if (!(left > 0)) {
      if (++i == x.size) break;
      left = left_of(i);
    }
    if (!(right > 0)) {
      if (++j == y.size) break;
      right = right_of(j);
    }
  }
  return sum.value();
}

template <class T, class Cost>
double with_cost(const SortedPoints<T>& x, const SortedPoints<T>& y, const Cost& cost, double scale) {
  if (x.weights == nullptr && y.weights == nullptr) {
    if (x.size == y.size) {
      Sum sum;
      for (std::size_t i = 0; i < x.size; ++i)
        sum.add(cost(static_cast<double>(x.points[i]) * scale - static_cast<double>(y.points[i]) * scale));
      return sum.value() / static_cast<double>(x.size);
    }
    const std::size_t divisor = std::gcd(x.size, y.size);
    const auto per_x = static_cast<std::int64_t>(y.size / divisor), per_y = static_cast<std::int64_t>(x.size / divisor);
    const double total = walk<T, std::int64_t>(
        x, y, [per_x](std::size_t) { return per_x; }, [per_y](std::size_t) { return per_y; }, cost, scale);
    return total / (static_cast<double>(x.size) * static_cast<double>(per_x));
  }
  const auto weights_of = [](const SortedPoints<T>& side) {
    return [w = side.weights, uniform = 1 / static_cast<double>(side.size)](std::size_t i) {
      return w == nullptr ? uniform : w[i];
    };
  };
  return walk<T, double>(x, y, weights_of(x), weights_of(y), cost, scale);
}

}  // namespace

template <class T>
double sorted_transport(const SortedPoints<T>& x, const SortedPoints<T>& y, double p, double scale) {
  if (p == 1) return with_cost(x, y, First{}, scale);
  if (p == 2) return with_cost(x, y, Second{}, scale);
  return with_cost(x, y, Power{p}, scale);
}

template double sorted_transport(const SortedPoints<float>&, const SortedPoints<float>&, double, double);
template double sorted_transport(const SortedPoints<double>&, const SortedPoints<double>&, double, double);

}  // namespace likewise::transport
