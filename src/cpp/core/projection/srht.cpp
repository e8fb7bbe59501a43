// The subsampled randomised Hadamard transform: k rows of H D / sqrt(k), H the Hadamard matrix of the padded width.
// A row costs P log2 P additions and a buffer of P values.
#include <algorithm>
#include <cmath>

#include "core/projection/construction.hpp"
#include "core/projection/kernels_of.hpp"

namespace likewise::projection {
namespace {

constexpr std::uint32_t kTag = 7;
constexpr std::uint64_t kSampleStream = std::uint64_t{1} << 33;

std::size_t power_of_two_from(std::uint64_t d) {
  std::size_t p = 1;
  while (p < d) p *= 2;
  return p;
}

class Srht final : public Construction {
 public:
  explicit Srht(const Parameters& p)
      : d(p.n_features),
        k(p.n_components),
        padded(power_of_two_from(d)),
        scale(1 / std::sqrt(static_cast<double>(k))),
        signs((d + 31) / 32) {
    const Philox words(p.seed);
    for (std::size_t i = 0; i < signs.size(); i += 4) {
      const PhiloxBlock block = words.block(kTag, i / 4, 0);
      std::copy_n(block.begin(), std::min<std::size_t>(4, signs.size() - i), signs.data() + i);
    }
    rows = sample(words, kTag, kSampleStream, padded, k);
  }

  std::unique_ptr<Applier<float>> applier(float, std::size_t most_rows) const override;
  std::unique_ptr<Applier<double>> applier(double, std::size_t most_rows) const override;
  bool negative(std::size_t c) const { return (signs[c / 32] >> (c % 32) & 1) != 0; }

  const std::size_t d, k, padded;
  const double scale;
  std::vector<std::uint32_t> signs, rows;
};

template <class T>
class SrhtApplier final : public Applier<T> {
 public:
  explicit SrhtApplier(const Srht& s)
      : s_(s), kernel_(kernels_of<T>()), values_(s.padded), scale_(static_cast<T>(s.scale)) {}

  std::size_t rows_at_once() const override { return 1; }

  std::size_t apply(const T* x, std::size_t n, T* out) override {
    std::size_t bad = n;
    for (std::size_t r = 0; r < n; ++r, x += s_.d, out += s_.k) {
      for (std::size_t c = 0; c < s_.d; ++c) values_[c] = s_.negative(c) ? -x[c] : x[c];
      if (!SrhtApplier::finish(out) && bad == n) bad = r;
    }
    return bad;
  }

  void add(const std::uint32_t* columns, const T* values, std::size_t n) override {
    for (std::size_t e = 0; e < n; ++e) {
      const std::size_t c = columns[e];
      values_[c] += s_.negative(c) ? -values[e] : values[e];
    }
  }

  bool finish(T* out) override {
    kernel_.hadamard(values_.data(), s_.padded);
    for (std::size_t j = 0; j < s_.k; ++j) out[j] = scale_ * values_[s_.rows[j]] + T(0);  // no -0 from a zero row
    std::fill(values_.begin(), values_.end(), T(0));
    return kernel_.all_finite(out, s_.k);
  }

  void column(std::uint32_t c, T* out) override {
    for (std::size_t j = 0; j < s_.k; ++j) {
      const bool odd = __builtin_popcountll(std::uint64_t{s_.rows[j]} & c) % 2 != 0;
      out[j] = odd != s_.negative(c) ? -scale_ : scale_;
    }
  }

 private:
  const Srht& s_;
  const kernels::ProjectionKernels<T>& kernel_;
  AlignedVector<T> values_;
  const T scale_;
};

std::unique_ptr<Applier<float>> Srht::applier(float, std::size_t) const {
  return std::make_unique<SrhtApplier<float>>(*this);
}
std::unique_ptr<Applier<double>> Srht::applier(double, std::size_t) const {
  return std::make_unique<SrhtApplier<double>>(*this);
}

}  // namespace

std::unique_ptr<const Construction> make_srht(const Parameters& parameters) {
  return std::make_unique<Srht>(parameters);
}

}  // namespace likewise::projection
