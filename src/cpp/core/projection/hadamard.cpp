// The block-Hadamard balanced fold. A row is cut into blocks of B coordinates; each gets random signs, a Hadamard
// transform and random signs again, and its vectors of 16 are added to distinct slots of 16 outputs, so that the
// columns of a block are orthogonal and every slot is hit equally often. Only the signs (2 bits a coordinate) and the
// slots are kept.
#include <algorithm>
#include <cmath>

#include "core/projection/construction.hpp"
#include "core/projection/kernels_of.hpp"
#include "core/thread_pool.hpp"

namespace likewise::projection {
namespace {

constexpr std::uint32_t kTag = 1;
constexpr std::uint64_t kSlotStream = std::uint64_t{1} << 32, kSampleStream = std::uint64_t{1} << 33;
constexpr std::size_t kLanes = kernels::kFoldLanes;

std::size_t block_size(std::uint64_t d, std::size_t padded_k) {
  if (padded_k >= 256 && d % 256 == 0) return 256;
  std::size_t b = 16;
  while (2 * b <= std::min<std::size_t>(128, padded_k)) b *= 2;
  while (b > 16 && b / 2 >= d) b /= 2;
  return b;
}

/// Puts at the front of `slots` others than the `taken` ones, which an unfinished block has already: its `needed` next.
void repair(std::vector<std::uint32_t>& slots, const std::uint32_t* taken, std::size_t n_taken, std::size_t needed) {
  const auto is_taken = [&](std::uint32_t slot) { return std::find(taken, taken + n_taken, slot) != taken + n_taken; };
  std::size_t other = needed;
  for (std::size_t a = 0; a < needed; ++a) {
    if (!is_taken(slots[a])) continue;
    while (is_taken(slots[other])) ++other;
    std::swap(slots[a], slots[other++]);
  }
}

class Hadamard final : public Construction {
 public:
  explicit Hadamard(const Parameters& p)
      : d(p.n_features),
        k(p.n_components),
        padded_k((k + kLanes - 1) / kLanes * kLanes),
        block(block_size(d, padded_k)) {
    const std::size_t n_vectors = (d + block - 1) / block * (block / kLanes);
    vectors.resize(n_vectors);
    const Philox words(p.seed);
    draw_signs(words);
    draw_slots(words);
    if (k < padded_k) kept = sample(words, kTag, kSampleStream, padded_k, k);
    while ((kLanes << kind) < block) ++kind;
    scale = std::sqrt(static_cast<double>(padded_k) / (static_cast<double>(k) * static_cast<double>(block)));
  }

  std::unique_ptr<Applier<float>> applier(float, std::size_t most_rows) const override;
  std::unique_ptr<Applier<double>> applier(double, std::size_t most_rows) const override;

  const std::size_t d, k, padded_k, block;
  std::size_t kind = 0;                      // log2 of the vectors in a block
  double scale = 0;
  std::vector<kernels::FoldVector> vectors;  // of all blocks
  std::vector<std::uint32_t> kept;           // the outputs that are kept, ascending; empty: all

 private:
  void draw_signs(const Philox& words) {
    constexpr std::size_t kVectors = 128 / kLanes;  // share a block of words
    for (std::size_t v = 0; v < vectors.size(); v += kVectors) {
      if (v % (kVectors << 12) == 0) poll_interrupt();
      const PhiloxBlock before = words.block(kTag, v / kVectors, 0), after = words.block(kTag, v / kVectors, 1);
      for (std::size_t i = 0; i < std::min(kVectors, vectors.size() - v); ++i) {
        vectors[v + i].before = static_cast<std::uint16_t>(before[i / 2] >> (i % 2 * 16));
        vectors[v + i].after = static_cast<std::uint16_t>(after[i / 2] >> (i % 2 * 16));
      }
    }
  }

  void draw_slots(const Philox& words) {
    const std::size_t m = padded_k / kLanes, in_block = block / kLanes;
    std::vector<std::uint32_t> last;  // the permutation before
    for (std::size_t v = 0, r = 0; v < vectors.size(); v += m, ++r) {
      if (r % 4096 == 0) poll_interrupt();
      std::vector<std::uint32_t> slots = permutation(words, kTag, kSlotStream + r, m);
      if (const std::size_t begun = v % in_block; begun > 0)
        repair(slots, last.data() + m - begun, begun, in_block - begun);
      for (std::size_t i = 0; i < std::min(m, vectors.size() - v); ++i) vectors[v + i].slot = slots[i];
      last = std::move(slots);
    }
  }
};

template <class T>
class HadamardApplier final : public Applier<T> {
 public:
  explicit HadamardApplier(const Hadamard& s)
      : s_(s), kernel_(kernels_of<T>()), sums_(s.padded_k), block_(s.block), scale_(static_cast<T>(s.scale)) {}

  std::size_t apply(const T* x, std::size_t n, T* out) override {
    std::size_t bad = n;
    const std::size_t whole = s_.d / s_.block, rest = s_.d % s_.block;
    for (std::size_t r = 0; r < n; ++r, x += s_.d, out += s_.k) {
      kernel_.fold[s_.kind](x, whole, s_.vectors.data(), sums_.data());
      if (rest != 0) {
        std::copy_n(x + whole * s_.block, rest, block_.begin());
        fold_block(whole);
      }
      if (!HadamardApplier::finish(out) && bad == n) bad = r;
    }
    return bad;
  }

  void add(const std::uint32_t* columns, const T* values, std::size_t n) override {
    for (std::size_t e = 0; e < n; ++e) {
      const std::size_t block = columns[e] / s_.block;
      if (block != open_) {
        close();
        open_ = block;
      }
      block_[columns[e] % s_.block] += values[e];
    }
  }

  bool finish(T* out) override {
    close();
    if (s_.kept.empty()) return kernel_.take(sums_.data(), s_.k, scale_, out);
    for (std::size_t j = 0; j < s_.k; ++j) out[j] = scale_ * sums_[s_.kept[j]];
    std::fill(sums_.begin(), sums_.end(), T(0));
    return kernel_.all_finite(out, s_.k);
  }

 private:
  static constexpr std::size_t kClosed = ~std::size_t{0};

  void fold_block(std::size_t block) {
    kernel_.fold[s_.kind](block_.data(), 1, s_.vectors.data() + block * (s_.block / kLanes), sums_.data());
    std::fill(block_.begin(), block_.end(), T(0));
  }
  void close() {
    if (open_ != kClosed) fold_block(open_);
    open_ = kClosed;
  }

  const Hadamard& s_;
  const kernels::ProjectionKernels<T>& kernel_;
  AlignedVector<T> sums_, block_;  // block_ is all zero but for the entries of the open block
  std::size_t open_ = kClosed;
  const T scale_;
};

std::unique_ptr<Applier<float>> Hadamard::applier(float, std::size_t) const {
  return std::make_unique<HadamardApplier<float>>(*this);
}
std::unique_ptr<Applier<double>> Hadamard::applier(double, std::size_t) const {
  return std::make_unique<HadamardApplier<double>>(*this);
}

}  // namespace

std::unique_ptr<const Construction> make_hadamard(const Parameters& parameters) {
  return std::make_unique<Hadamard>(parameters);
}

}  // namespace likewise::projection
