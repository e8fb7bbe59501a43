// An index that answers: impacts derived from the stored integers at a term's first use, and the queries over them.
#pragma once
#include <atomic>
#include <cstdlib>
#include <new>

#include "core/search/scoring.hpp"
#include "core/search/segment.hpp"
#include "kernels/table.hpp"

namespace likewise::search {

/// Zeroed memory whose pages cost nothing until they are written.
template <class T>
class ZeroedArray {
 public:
  explicit ZeroedArray(std::size_t n) : data_(static_cast<T*>(std::calloc(n > 0 ? n : 1, sizeof(T)))) {
    if (data_ == nullptr) throw std::bad_alloc();
  }
  ~ZeroedArray() { std::free(data_); }
  ZeroedArray(const ZeroedArray&) = delete;
  ZeroedArray& operator=(const ZeroedArray&) = delete;
  T* data() const noexcept { return data_; }
  T& operator[](std::size_t i) const noexcept { return data_[i]; }

 private:
  T* data_;
};

/// Lower bounds of a term's 11th, 101st and 1001st largest impact, so that they hold for k = 10, 100 and 1000 with one
/// document left out; and its largest impact.
template <class T>
struct TermBounds {
  T largest, at_least[3];
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
    double bound;  // weight * largest impact
    std::size_t begin = 0, position = 0;
  };
  struct Plan {
    std::vector<Cursor> cursors;
    T baseline = 0;
    T primed = 0;              // the k-th best score is at least this
    std::size_t n_postings = 0;
  };
  Plan plan(const Query& query, std::size_t k) const;
  T canonical(const Plan& plan, std::uint32_t document) const;

  void derive(const std::vector<std::uint32_t>& terms) const;
  void derive_term(std::uint32_t term) const;
  const ForwardIndex& forward() const;

  Segment segment_;
  Formula formula_;
  Formula lucene_;  // keywords are weighted by the idf that is always positive
  Statistics statistics_;
  // Derived at first use, under lazy_initialisation_mutex(); a term's flag is set after its values.
  ZeroedArray<T> impacts_;
  ZeroedArray<TermBounds<T>> bounds_;
  ZeroedArray<std::atomic<std::uint8_t>> derived_;
  mutable std::atomic<const ForwardIndex*> forward_{nullptr};
  mutable std::unique_ptr<const ForwardIndex> forward_owner_;

  template <class U>
  friend class Search;
};

}  // namespace likewise::search
