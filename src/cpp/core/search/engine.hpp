// An index that answers: impacts derived from the stored integers at a term's first use, and the queries over them.
#pragma once
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <new>

#include "core/search/frequent.hpp"
#include "core/search/scoring.hpp"
#include "core/search/segment.hpp"
#include "kernels/table.hpp"

namespace likewise::search {

/// Zeroed memory whose pages cost nothing until they are written: from the system, as calloc would clear what an
/// earlier index has left.
template <class T>
class ZeroedArray {
 public:
  static constexpr std::size_t kLarge = std::size_t{16} << 20;  // bytes

  explicit ZeroedArray(std::size_t n) : n_bytes_(n * sizeof(T)) {
    if (n == 0) return;
    if (n > std::numeric_limits<std::size_t>::max() / sizeof(T)) throw std::bad_alloc();
    void* mapped = mmap(nullptr, n_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    data_ = static_cast<T*>(mapped);
#if defined(MADV_HUGEPAGE)
    // Look-ups all over a large array miss the translation of addresses less with large pages.
    if (n_bytes_ >= kLarge) madvise(mapped, n_bytes_, MADV_HUGEPAGE);
#endif
  }
  ~ZeroedArray() {
    if (data_ != nullptr) munmap(data_, n_bytes_);
  }
  ZeroedArray(const ZeroedArray&) = delete;
  ZeroedArray& operator=(const ZeroedArray&) = delete;
  T* data() const noexcept { return data_; }
  T& operator[](std::size_t i) const noexcept { return data_[i]; }

 private:
  std::size_t n_bytes_;
  T* data_ = nullptr;
};

/// A term's largest impact, and lower bounds of its 11th, 101st and 1001st largest one in 255ths of it, so that they
/// hold for k = 10, 100 and 1000 with one document left out.
template <class T>
struct TermBounds {
  T largest;
  std::uint8_t steps[3];
  T at_least(std::size_t rank) const { return largest * static_cast<T>(steps[rank] / 255.0 * (1 - 1e-6)); }
};
inline constexpr std::size_t kBoundRanks[3] = {11, 101, 1001};

/// The documents' term lists (document -> ascending terms and frequencies), as variable-length bytes.
class ForwardIndex {
 public:
  explicit ForwardIndex(const Segment& segment);
  template <class Visit>
  void visit(std::uint32_t document, const Visit& each) const {
    const std::uint8_t* p = bytes_.data() + offsets_[document];
    const std::uint8_t* end = bytes_.data() + offsets_[document + 1];
    std::uint32_t term = 0;
    while (p < end) {
      const std::uint64_t head = read(p);
      term += static_cast<std::uint32_t>(head >> 1);
      each(term, (head & 1) != 0 ? static_cast<std::uint32_t>(read(p)) : 1u);
    }
  }
  std::uint64_t bytes() const noexcept { return bytes_.size() + 8 * offsets_.size(); }

 private:
  static std::uint64_t read(const std::uint8_t*& p) {
    std::uint64_t value = *p & 0x7F;
    for (int shift = 7; (*p++ & 0x80) != 0; shift += 7) value |= static_cast<std::uint64_t>(*p & 0x7F) << shift;
    return value;
  }
  std::vector<std::uint64_t> offsets_;
  std::vector<std::uint8_t> bytes_;
};

/// Which terms get nibble lists: the most frequent ones, as long as all lists together take at most kShare bytes a
/// posting of the index. A list is filled when its term is derived.
class FrequentTerms {
 public:
  static constexpr double kShare = 0.9;

  FrequentTerms(const Segment& segment, const Formula& formula);
  /// Position of the term among the frequent ones, or size().
  std::size_t find(std::uint32_t term) const noexcept {
    const auto at = std::lower_bound(terms_.begin(), terms_.end(), term);
    return at != terms_.end() && *at == term ? static_cast<std::size_t>(at - terms_.begin()) : terms_.size();
  }
  std::size_t size() const noexcept { return terms_.size(); }
  NibbleList operator[](std::size_t i) const noexcept {
    return {nibbles_.data() + i * n_chunks_ * 64, counts_.data() + i * n_chunks_};
  }
  /// A nibble v stands for an impact of at most v * scale().
  double scale() const noexcept { return scale_; }
  std::size_t n_chunks() const noexcept { return n_chunks_; }
  std::uint64_t bytes() const noexcept { return terms_.size() * n_chunks_ * 68; }

 private:
  std::size_t n_chunks_;
  std::vector<std::uint32_t> terms_;  // ascending
  double scale_ = 0;
  ZeroedArray<std::uint8_t> nibbles_;
  ZeroedArray<std::uint32_t> counts_;
};

template <class T>
class Engine final : public Index {
 public:
  Engine(Segment segment, const Scoring& scoring);

  void check() const override { segment_.check_all(); }
  const SegmentArrays& arrays() const noexcept override { return segment_.arrays(); }
  const Statistics& statistics() const noexcept override { return statistics_; }
  bool float64() const noexcept override { return sizeof(T) == 8; }
  std::uint64_t bytes() const noexcept override;

  std::uint32_t find_term(std::string_view term) const noexcept override { return segment_.terms().find(term); }
  std::string_view term(std::uint32_t id) const noexcept override { return segment_.terms()[id]; }
  std::uint32_t document_frequency(std::uint32_t term) const noexcept override {
    return segment_.document_frequency(term);
  }
  double idf(std::uint32_t term) const noexcept override { return formula_.idf(document_frequency(term)); }
  std::pair<std::uint32_t, double> posting(std::uint32_t term, std::uint32_t document) const override;
  double baseline(const Query& query) const override;

  std::size_t search(const Query& query, std::size_t k, Method method, std::int64_t excluded, unsigned n_threads,
                     std::int64_t* documents, void* scores) const override;
  void score_all(const Query& query, void* scores) const override;
  void score_some(const Query& query, span<const std::int64_t> documents, void* scores) const override;

  std::vector<Keyword> keywords(std::uint32_t document, std::size_t n, double min_df, double max_df) const override;
  Query related_query(std::uint32_t document, const RelatedOptions& options) const override;
  void warm(unsigned n_threads) const override;

 private:
  /// A query's term with what a search needs of it. The canonical order of a score's sum is: ascending document
  /// frequency, then term number, in blocks of kBlock terms that are summed from zero and added in order. So the
  /// terms with the longest lists come last, and leaving some of them out leaves a prefix of the sum.
  struct Cursor {
    const std::uint32_t* documents;
    const T* impacts;
    std::size_t n;
    T weight;
    double bound;               // weight * largest impact
    NibbleList nibbles;         // of a frequent term
    std::size_t begin = 0, position = 0;
  };
  struct Plan {
    std::vector<Cursor> cursors;
    T baseline = 0;
    double nibble_scale = 0;
    T primed = 0;              // the k-th best score is at least this
    std::size_t n_postings = 0;
  };
  /// The positions of the query's terms in that order.
  std::vector<std::uint32_t> canonical_order(const Query& query) const;
  double baseline(const Query& query, const std::vector<std::uint32_t>& order) const;
  Plan plan(const Query& query, std::size_t k) const;
  /// The bounds of a frequent term; null pointers for any other.
  NibbleList nibbles_of(std::uint32_t term) const;
  T canonical(const Plan& plan, std::uint32_t document) const;

  void derive(const std::vector<std::uint32_t>& terms) const;
  void derive_term(std::uint32_t term) const;
  const ForwardIndex& forward() const;

  Segment segment_;
  Statistics statistics_;
  Formula formula_;
  Formula lucene_;  // keywords are weighted by the idf that is always positive
  // Derived at first use, under lazy_initialisation_mutex(); a term's flag is set after its values.
  ZeroedArray<T> impacts_;
  ZeroedArray<TermBounds<T>> bounds_;
  ZeroedArray<std::atomic<std::uint8_t>> derived_;
  FrequentTerms frequent_;
  mutable std::atomic<const ForwardIndex*> forward_{nullptr};
  mutable std::unique_ptr<const ForwardIndex> forward_owner_;

  template <class U>
  friend class Retrieval;
};

}  // namespace likewise::search
