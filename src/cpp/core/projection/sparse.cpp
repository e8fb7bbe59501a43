// Matrices with few nonzeros of equal size: sjlt, countsketch, very_sparse, achlioptas. A column is a list of codes of
// four bytes: output * 2 + (1 where negative), or, for the slotted layout, slot << 16 | signs of its 16 outputs. The
// codes of all columns are kept where they fit in 64 MiB, otherwise drawn when needed. Column c adds to the sums
// c mod 2 of two, which are added at the end: neighbouring columns that meet in an output do not wait for each other.
#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>

#include "core/projection/construction.hpp"
#include "core/projection/kernels_of.hpp"
#include "core/thread_pool.hpp"

namespace likewise::projection {
namespace {

constexpr std::size_t kLanes = kernels::kFoldLanes;
constexpr std::size_t kCacheBytes = std::size_t{64} << 20;
constexpr std::size_t kColumnsAtOnce = 256;
constexpr std::size_t kSumBytes = std::size_t{64} << 10;

/// The codes of some columns, one after the other.
struct Codes {
  std::vector<std::uint32_t> codes;
  std::vector<std::uint32_t> starts;  // of column i, and the end; empty where every column has as many
  void clear() {
    codes.clear();
    starts.clear();
  }
};
struct CodesView {
  const std::uint32_t* codes;
  const std::uint32_t* starts;
};

class Sparse final : public Construction {
 public:
  explicit Sparse(const Parameters& p)
      : d(p.n_features), k(p.n_components), seed_(p.seed), nnz_(p.nnz) {
    if (p.method == Method::very_sparse || p.method == Method::achlioptas) {
      tag_ = p.method == Method::very_sparse ? 4 : 5;
      const double density = p.method == Method::very_sparse ? p.density : 1.0 / 3;
      threshold_ = static_cast<std::uint32_t>(std::floor(density * 0x1p31));
      scale = 1 / std::sqrt(density * static_cast<double>(k));
      per_column = 0;
      expected_ = density * static_cast<double>(k) + 1;  // and where a column starts
    } else {
      tag_ = 2;
      slotted = nnz_ >= kLanes && k <= kLanes << 16;  // beyond, a slot's number does not fit in 16 bits
      per_column = slotted ? nnz_ / kLanes : nnz_;
      scale = 1 / std::sqrt(static_cast<double>(nnz_));
      expected_ = static_cast<double>(per_column);
    }
  }

  std::unique_ptr<Applier<float>> applier(float, std::size_t most_rows) const override;
  std::unique_ptr<Applier<double>> applier(double, std::size_t most_rows) const override;
  bool has_empty_columns() const override { return per_column == 0; }

  /// Appends the codes of these columns, at most kColumnsAtOnce.
  void draw(const std::uint32_t* columns, std::size_t n, Codes& to) const {
    if (per_column == 0) {
      if (to.starts.empty()) to.starts.push_back(0);
      for (std::size_t i = 0; i < n; ++i) {
        draw_bernoulli(columns[i], to.codes);
        to.starts.push_back(static_cast<std::uint32_t>(to.codes.size()));
      }
      return;
    }
    const std::size_t begin = to.codes.size();
    to.codes.resize(begin + n * per_column);
    std::uint32_t* const codes = to.codes.data() + begin;
    nnz_ < kLanes ? draw_scattered(columns, n, codes) : draw_slots(columns, n, codes);
  }

  /// The codes of all columns, or null where they are too many to keep.
  const Codes* all_codes() const {
    if (expected_ * static_cast<double>(d) > static_cast<double>(kCacheBytes / sizeof(std::uint32_t))) return nullptr;
    const std::lock_guard<std::mutex> lock(lazy_initialisation_mutex());
    if (!kept_) {
      auto drawn = std::make_unique<Codes>();
      drawn->codes.reserve(static_cast<std::size_t>(expected_ * static_cast<double>(d)));
      for (std::size_t c = 0; c < d; c += kColumnsAtOnce) {
        poll_interrupt();
        std::uint32_t columns[kColumnsAtOnce];
        const std::size_t count = std::min<std::size_t>(kColumnsAtOnce, d - c);
        for (std::size_t i = 0; i < count; ++i) columns[i] = static_cast<std::uint32_t>(c + i);
        draw(columns, count, *drawn);
      }
      kept_ = std::move(drawn);
    }
    return kept_.get();
  }

  const std::size_t d, k;
  bool slotted = false;
  std::size_t per_column;  // codes of each column; 0: as chance has it
  double scale;

 private:
  /// Words [word][column] of block `block` of these columns.
  void draw_words(const std::uint32_t* columns, std::size_t n, std::size_t block, std::uint32_t* words) const {
    std::uint32_t blocks[kColumnsAtOnce];
    std::fill_n(blocks, n, static_cast<std::uint32_t>(block));
    kernel_table().projection.philox(columns, blocks, n, tag_, seed_, words);
  }
  void draw_scattered(const std::uint32_t* columns, std::size_t n, std::uint32_t* codes) const {
    std::uint32_t words[4 * kColumnsAtOnce];
    for (std::size_t b = 0; b < nnz_; ++b) {
      if (b % 4 == 0) draw_words(columns, n, b / 4, words);
      const std::size_t low = b * k / nnz_, count = (b + 1) * k / nnz_ - low;
      for (std::size_t i = 0; i < n; ++i) {
        const std::uint32_t word = words[b % 4 * n + i];
        codes[i * nnz_ + b] = static_cast<std::uint32_t>((low + (((word >> 1) * count) >> 31)) << 1 | (word & 1));
      }
    }
  }
  void draw_slots(const std::uint32_t* columns, std::size_t n, std::uint32_t* codes) const {
    std::uint32_t words[4 * kColumnsAtOnce];
    const std::size_t m = k / kLanes, n_slots = nnz_ / kLanes;
    for (std::size_t b = 0; b < n_slots; ++b) {
      if (b % 2 == 0) draw_words(columns, n, b / 2, words);
      const std::size_t low = b * kLanes * m / nnz_, count = (b + 1) * kLanes * m / nnz_ - low;
      const std::uint32_t *slots = words + b % 2 * 2 * n, *signs = slots + n;
      for (std::size_t i = 0; i < n; ++i) {
        const std::size_t slot = low + ((slots[i] * count) >> 32);
        if (slotted) {
          codes[i * n_slots + b] = static_cast<std::uint32_t>(slot << 16 | (signs[i] & 0xFFFF));
        } else {
          for (std::size_t lane = 0; lane < kLanes; ++lane)
            codes[i * nnz_ + b * kLanes + lane] =
                static_cast<std::uint32_t>((slot * kLanes + lane) << 1 | (signs[i] >> lane & 1));
        }
      }
    }
  }
  void draw_bernoulli(std::uint32_t c, std::vector<std::uint32_t>& codes) const {
    constexpr std::size_t kBlocks = 64;
    std::uint32_t columns[kBlocks], blocks[kBlocks], words[4 * kBlocks];
    std::fill_n(columns, kBlocks, c);
    for (std::size_t first = 0; first < k; first += 4 * kBlocks) {
      const std::size_t rows = std::min(4 * kBlocks, k - first), n = (rows + 3) / 4;
      for (std::size_t b = 0; b < n; ++b) blocks[b] = static_cast<std::uint32_t>(first / 4 + b);
      kernel_table().projection.philox(columns, blocks, n, tag_, seed_, words);
      for (std::size_t i = 0; i < rows; ++i) {
        const std::uint32_t word = words[i % 4 * n + i / 4];
        if (word >> 1 < threshold_) codes.push_back(static_cast<std::uint32_t>((first + i) << 1 | (word & 1)));
      }
    }
  }

  const std::uint64_t seed_;
  const std::size_t nnz_;
  std::uint32_t tag_, threshold_ = 0;
  double expected_;  // codes of a column
  mutable std::unique_ptr<const Codes> kept_;
};

template <class T>
class SparseApplier final : public Applier<T> {
 public:
  SparseApplier(const Sparse& s, std::size_t most_rows)
      : s_(s),
        kernel_(kernels_of<T>()),
        all_(s.all_codes()),
        rows_(std::min(std::max<std::size_t>(most_rows, 1),
                       std::clamp<std::size_t>(kSumBytes / sizeof(T) / (2 * s.k), 1, kLanes))),
        sums_(2 * s.k * rows_),
        scale_(static_cast<T>(s.scale)) {}

  std::size_t rows_at_once() const override { return rows_; }

  std::size_t apply(const T* x, std::size_t n, T* out) override {
    if (n == kLanes && !s_.slotted) return apply_to_lanes(x, out);
    std::uint32_t columns[kColumnsAtOnce];
    for (std::size_t c = 0; c < s_.d; c += kColumnsAtOnce) {
      const std::size_t count = std::min<std::size_t>(kColumnsAtOnce, s_.d - c);
      for (std::size_t i = 0; i < count; ++i) columns[i] = static_cast<std::uint32_t>(c + i);
      const CodesView codes = fetch(columns, count, true);
      for (std::size_t r = 0; r < n; ++r) accumulate(codes, columns, x + r * s_.d + c, count, sums_of(r));
    }
    std::size_t bad = n;
    for (std::size_t r = n; r-- > 0;)
      if (!kernel_.take_both(sums_of(r), s_.k, scale_, out + r * s_.k)) bad = r;
    return bad;
  }

  void add(const std::uint32_t* columns, const T* values, std::size_t n) override {
    for (std::size_t i = 0; i < n; i += kColumnsAtOnce) {
      const std::size_t count = std::min<std::size_t>(kColumnsAtOnce, n - i);
      accumulate(fetch(columns + i, count, false), columns + i, values + i, count, sums_of(0));
    }
  }

  bool finish(T* out) override { return kernel_.take_both(sums_of(0), s_.k, scale_, out); }

 private:
  T* sums_of(std::size_t row) { return sums_.data() + row * 2 * s_.k; }

  /// Sixteen rows, one a lane: their values and sums lie side by side. Each takes the same additions as on its own.
  std::size_t apply_to_lanes(const T* x, T* out) {
    tile_.resize(kColumnsAtOnce * kLanes);
    std::uint32_t columns[kColumnsAtOnce];
    for (std::size_t c = 0; c < s_.d; c += kColumnsAtOnce) {
      const std::size_t count = std::min<std::size_t>(kColumnsAtOnce, s_.d - c);
      for (std::size_t i = 0; i < count; ++i) {
        columns[i] = static_cast<std::uint32_t>(c + i);
        for (std::size_t r = 0; r < kLanes; ++r) tile_[i * kLanes + r] = x[r * s_.d + c + i];
      }
      const CodesView codes = fetch(columns, count, true);
      kernel_.add_rows(codes.codes, codes.starts, s_.per_column, tile_.data(), count, sums_.data(), s_.k);
    }
    std::size_t bad = kLanes;
    const T* odd = sums_.data() + s_.k * kLanes;
    for (std::size_t r = kLanes; r-- > 0;) {
      T* y = out + r * s_.k;
      for (std::size_t j = 0; j < s_.k; ++j) y[j] = (sums_[j * kLanes + r] + odd[j * kLanes + r]) * scale_;
      if (!kernel_.all_finite(y, s_.k)) bad = r;
    }
    std::fill(sums_.begin(), sums_.end(), T(0));
    return bad;
  }

  CodesView fetch(const std::uint32_t* columns, std::size_t n, bool neighbours) {
    if (all_ != nullptr && neighbours) {
      if (s_.per_column != 0) return {all_->codes.data() + columns[0] * s_.per_column, nullptr};
      return {all_->codes.data(), all_->starts.data() + columns[0]};
    }
    if (all_ != nullptr && s_.per_column != 0) {
      gathered_.resize(kColumnsAtOnce * s_.per_column);
      std::uint32_t* to = gathered_.data();
      const std::uint32_t* const from = all_->codes.data();
      if (s_.per_column == 1) {
        for (std::size_t i = 0; i < n; ++i) to[i] = from[columns[i]];
      } else {
        for (std::size_t i = 0; i < n; ++i)
          for (std::size_t e = 0; e < s_.per_column; ++e) *to++ = from[columns[i] * s_.per_column + e];
      }
      return {gathered_.data(), nullptr};
    }
    drawn_.clear();
    if (all_ == nullptr) {
      s_.draw(columns, n, drawn_);
    } else {
      drawn_.starts.push_back(0);
      for (std::size_t i = 0; i < n; ++i) {
        drawn_.codes.insert(drawn_.codes.end(), all_->codes.data() + all_->starts[columns[i]],
                            all_->codes.data() + all_->starts[columns[i] + std::size_t{1}]);
        drawn_.starts.push_back(static_cast<std::uint32_t>(drawn_.codes.size()));
      }
    }
    return {drawn_.codes.data(), s_.per_column != 0 ? nullptr : drawn_.starts.data()};
  }

  void accumulate(const CodesView& codes, const std::uint32_t* columns, const T* values, std::size_t n, T* sums) {
    if (s_.slotted) {
      kernel_.add_slots(codes.codes, s_.per_column, columns, values, n, sums, s_.k);
      return;
    }
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t begin = codes.starts != nullptr ? codes.starts[i] : i * s_.per_column;
      const std::size_t end = codes.starts != nullptr ? codes.starts[i + 1] : begin + s_.per_column;
      const T signed_value[2] = {values[i], -values[i]};
      T* half = sums + columns[i] % 2 * s_.k;
      for (std::size_t e = begin; e < end; ++e) half[codes.codes[e] >> 1] += signed_value[codes.codes[e] & 1];
    }
  }

  const Sparse& s_;
  const kernels::ProjectionKernels<T>& kernel_;
  const Codes* const all_;
  const std::size_t rows_;
  AlignedVector<T> sums_;  // of each row the even columns', then the odd columns'
  AlignedVector<T> tile_;
  Codes drawn_;
  std::vector<std::uint32_t> gathered_;
  const T scale_;
};

std::unique_ptr<Applier<float>> Sparse::applier(float, std::size_t most_rows) const {
  return std::make_unique<SparseApplier<float>>(*this, most_rows);
}
std::unique_ptr<Applier<double>> Sparse::applier(double, std::size_t most_rows) const {
  return std::make_unique<SparseApplier<double>>(*this, most_rows);
}

}  // namespace

std::unique_ptr<const Construction> make_sparse(const Parameters& parameters) {
  return std::make_unique<Sparse>(parameters);
}

}  // namespace likewise::projection
