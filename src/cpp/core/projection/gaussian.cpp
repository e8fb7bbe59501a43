// Independent normal entries: z / sqrt(k), z the normal quantile of a random word, by Wichura, Algorithm AS 241 (1988).
// Everything is made of additions, multiplications, divisions and square roots in float64 in one order, so that every
// machine draws the same bits; the logarithm of the C library would not promise that.
#include <cmath>
#include <cstring>
#include <mutex>

#include "core/projection/construction.hpp"
#include "core/projection/kernels_of.hpp"
#include "core/thread_pool.hpp"

namespace likewise::projection {
namespace {

constexpr std::uint32_t kTag = 6;
constexpr std::size_t kPanel = kernels::kPanelWidth;  // outputs whose entries lie together
constexpr std::size_t kCacheBytes = std::size_t{64} << 20;
constexpr std::size_t kTileBytes = std::size_t{256} << 10;  // of entries drawn anew where they are too many to keep
constexpr std::size_t kSumBytes = std::size_t{48} << 10;

/// ln x for 0 < x < 1, normal: x = 2^e m with m in [sqrt(1/2), sqrt(2)), ln m = 2 artanh((m - 1) / (m + 1)).
double logarithm(double x) {
  std::uint64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  constexpr std::uint64_t kSqrtHalf = 0x3FE6A09E667F3BCD;  // the bits of sqrt(1/2)
  const std::uint64_t offset = bits - kSqrtHalf;
  const std::int64_t exponent = static_cast<std::int64_t>(offset) >> 52;
  bits -= static_cast<std::uint64_t>(exponent) << 52;
  double m;
  std::memcpy(&m, &bits, sizeof m);
  const double s = (m - 1) / (m + 1), z = s * s;
  double p = 1.0 / 23;
  for (int n = 21; n >= 3; n -= 2) p = p * z + 1.0 / n;
  const double e = static_cast<double>(exponent);
  constexpr double kLn2High = 0x1.62E42FEFA38p-1, kLn2Low = 0x1.EF35793C7673p-45;  // e * high is exact
  return e * kLn2High + (2 * s + (2 * s * z * p + e * kLn2Low));
}

double quantile(std::uint32_t word) {
  const double p = (static_cast<double>(word) + 0.5) * 0x1p-32, q = p - 0.5;
  if (std::fabs(q) <= 0.425) {
    const double r = 0.180625 - q * q;
    const double numerator =
        (((((((r * 2509.0809287301226727 + 33430.575583588128105) * r + 67265.770927008700853) * r +
             45921.953931549871457) * r + 13731.693765509461125) * r + 1971.5909503065514427) * r +
          133.14166789178437745) * r + 3.387132872796366608);
    const double denominator =
        (((((((r * 5226.495278852854561 + 28729.085735721942674) * r + 39307.89580009271061) * r +
             21213.794301586595867) * r + 5394.1960214247511077) * r + 687.1870074920579083) * r +
          42.313330701600911252) * r + 1.0);
    return q * numerator / denominator;
  }
  // The least p is 2^-33: r stays below 5, and the third branch of AS 241 is never reached.
  const double r = std::sqrt(-logarithm(q < 0 ? p : 1 - p)) - 1.6;
  const double numerator =
      (((((((r * 7.7454501427834140764e-4 + 0.0227238449892691845833) * r + 0.24178072517745061177) * r +
           1.27045825245236838258) * r + 3.64784832476320460504) * r + 5.7694972214606914055) * r +
        4.6303378461565452959) * r + 1.42343711074968357734);
  const double denominator =
      (((((((r * 1.05075007164441684324e-9 + 5.475938084995344946e-4) * r + 0.0151986665636164571966) * r +
           0.14810397642748007459) * r + 0.68976733498510000455) * r + 1.6763848301838038494) * r +
        2.05319162663775882187) * r + 1.0);
  return q < 0 ? -(numerator / denominator) : numerator / denominator;
}

class Gaussian final : public Construction {
 public:
  explicit Gaussian(const Parameters& p)
      : d(p.n_features), k(p.n_components), n_panels((k + kPanel - 1) / kPanel), words_(p.seed) {}

  std::unique_ptr<Applier<float>> applier(float, std::size_t most_rows) const override;
  std::unique_ptr<Applier<double>> applier(double, std::size_t most_rows) const override;

  /// Entries of columns first ... first + n - 1: [panel][column][output of the panel].
  template <class T>
  void draw(std::size_t first, std::size_t n, T* entries) const {
    const double root = std::sqrt(static_cast<double>(k));
    for (std::size_t c = 0; c < n; ++c) {
      if (c % 64 == 0) poll_interrupt();
      for (std::size_t row = 0; row < n_panels * kPanel; row += 4) {
        const PhiloxBlock block = words_.block(kTag, first + c, static_cast<std::uint32_t>(row / 4));
        T* at = entries + (row / kPanel * n + c) * kPanel + row % kPanel;
        for (std::size_t i = 0; i < 4; ++i)
          at[i] = row + i < k ? static_cast<T>(quantile(block[i]) / root) : T(0);
      }
    }
  }

  /// All entries, or null where they are too many to keep.
  template <class T>
  const T* all_entries() const {
    if (d > kCacheBytes / sizeof(T) / kPanel / n_panels) return nullptr;
    const std::lock_guard<std::mutex> lock(lazy_initialisation_mutex());
    std::vector<T>& kept = [this]() -> std::vector<T>& {
      if constexpr (sizeof(T) == 4) {
        return kept_f32_;
      } else {
        return kept_f64_;
      }
    }();
    if (kept.empty()) {
      std::vector<T> drawn(d * n_panels * kPanel);
      draw(0, d, drawn.data());
      kept.swap(drawn);
    }
    return kept.data();
  }

  const std::size_t d, k, n_panels;

 private:
  const Philox words_;
  mutable std::vector<float> kept_f32_;
  mutable std::vector<double> kept_f64_;
};

template <class T>
class GaussianApplier final : public Applier<T> {
 public:
  GaussianApplier(const Gaussian& s, std::size_t most_rows)
      : s_(s),
        kernel_(kernels_of<T>()),
        width_(s.n_panels * kPanel),
        entries_(s.all_entries<T>()),
        rows_(std::clamp<std::size_t>(kSumBytes / sizeof(T) / width_, 1, std::clamp<std::size_t>(most_rows, 1, 96))),
        sums_(width_) {
    if (entries_ == nullptr) {
      tile_columns_ = std::max<std::size_t>(1, std::min(s.d, kTileBytes / sizeof(T) / width_));
      tile_.resize(tile_columns_ * width_);
    }
  }

  std::size_t rows_at_once() const override { return rows_; }

  std::size_t apply(const T* x, std::size_t n, T* out) override {
    sums_.assign(std::max(n, std::size_t{1}) * width_, T(0));
    if (entries_ != nullptr) {
      multiply(entries_, s_.d, x, n);
    } else {
      for (std::size_t c = 0; c < s_.d; c += tile_columns_) {
        poll_interrupt();
        const std::size_t count = std::min(tile_columns_, s_.d - c);
        s_.draw(c, count, tile_.data());
        multiply(tile_.data(), count, x + c, n);
      }
    }
    std::size_t bad = n;
    for (std::size_t r = n; r-- > 0;) {
      std::copy_n(sums_.data() + r * width_, s_.k, out + r * s_.k);
      if (!kernel_.all_finite(sums_.data() + r * width_, s_.k)) bad = r;
    }
    sums_.assign(width_, T(0));
    return bad;
  }

  void add(const std::uint32_t* columns, const T* values, std::size_t n) override {
    for (std::size_t e = 0; e < n; ++e) {
      const T* entries = entries_;
      std::size_t stride = s_.d * kPanel, at = columns[e] * kPanel;
      if (entries == nullptr) {
        s_.draw(columns[e], 1, tile_.data());
        entries = tile_.data();
        stride = kPanel;
        at = 0;
      }
      for (std::size_t panel = 0; panel < s_.n_panels; ++panel)
        kernel_.multiply_panel(entries + panel * stride + at, 1, values + e, 1, 1, sums_.data() + panel * kPanel,
                               width_);
    }
  }

  bool finish(T* out) override {
    std::copy_n(sums_.data(), s_.k, out);
    sums_.assign(width_, T(0));
    return kernel_.all_finite(out, s_.k);
  }

 private:
  void multiply(const T* entries, std::size_t n_columns, const T* x, std::size_t n) {
    for (std::size_t panel = 0; panel < s_.n_panels; ++panel)
      kernel_.multiply_panel(entries + panel * n_columns * kPanel, n_columns, x, s_.d, n, sums_.data() + panel * kPanel,
                             width_);
  }

  const Gaussian& s_;
  const kernels::ProjectionKernels<T>& kernel_;
  const std::size_t width_;
  const T* const entries_;
  const std::size_t rows_;
  AlignedVector<T> sums_, tile_;
  std::size_t tile_columns_ = 0;
};

std::unique_ptr<Applier<float>> Gaussian::applier(float, std::size_t most_rows) const {
  return std::make_unique<GaussianApplier<float>>(*this, most_rows);
}
std::unique_ptr<Applier<double>> Gaussian::applier(double, std::size_t most_rows) const {
  return std::make_unique<GaussianApplier<double>>(*this, most_rows);
}

}  // namespace

std::unique_ptr<const Construction> make_gaussian(const Parameters& parameters) {
  return std::make_unique<Gaussian>(parameters);
}

}  // namespace likewise::projection
