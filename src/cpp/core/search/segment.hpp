// The stored integers of an index after their check. Whoever holds a Segment may index with what it returns.
#pragma once
#include <algorithm>
#include <memory>
#include <optional>

#include "core/search/string_table.hpp"
#include "likewise/search/index.hpp"

namespace likewise::search {

class Segment {
 public:
  /// Checks everything but the postings; with `full` those too, and the text of the terms. `n_tokens`, where it is
  /// given, is believed until the full check, as adding up the lengths takes as long as everything else does.
  Segment(const SegmentArrays& arrays, std::shared_ptr<const void> owner, bool full,
          std::optional<std::uint64_t> n_tokens = {}, const BlockVisitor& before_block = {});

  /// Throws corrupt_error unless the term's postings are sound. Without effect after a full check.
  void check_postings(std::uint32_t term) const {
    if (!full_) check_range(term, term + 1);
  }

  /// Throws corrupt_error unless every posting and the text of every term are sound.
  void check_all(const BlockVisitor& before_block = {}) const;

  const SegmentArrays& arrays() const noexcept { return arrays_; }
  const StringTable& terms() const noexcept { return terms_; }
  std::size_t n_docs() const noexcept { return arrays_.document_lengths.size; }
  std::uint64_t n_tokens() const noexcept { return n_tokens_; }
  std::uint32_t document_frequency(std::uint32_t term) const noexcept {
    return static_cast<std::uint32_t>(arrays_.posting_offsets[term + 1] - arrays_.posting_offsets[term]);
  }
  /// Calls visit(term), in ascending order, for each term that more than `limit` documents contain. Fast where they
  /// are few: the offsets tell how many postings a range of terms has.
  template <class Visit>
  void visit_frequent_terms(std::size_t limit, const Visit& visit) const {
    constexpr std::size_t kRange = 64;
    const std::uint64_t* offsets = arrays_.posting_offsets.data;
    for (std::size_t begin = 0; begin < terms_.size(); begin += kRange) {
      const std::size_t end = std::min(begin + kRange, terms_.size());
      if (offsets[end] - offsets[begin] <= limit) continue;
      for (std::size_t t = begin; t < end; ++t)
        if (offsets[t + 1] - offsets[t] > limit) visit(static_cast<std::uint32_t>(t));
    }
  }
  /// Position of the term's posting for the document, or of the end of the index.
  std::uint64_t find_posting(std::uint32_t term, std::uint32_t document) const noexcept;
  std::uint32_t frequency(std::uint64_t posting) const noexcept {
    const std::uint8_t small = arrays_.posting_frequencies[posting];
    return small < 255 ? small : large_frequency(posting);
  }
  std::uint64_t bytes() const noexcept;

 private:
  void check_range(std::uint32_t first_term, std::uint32_t last_term, const BlockVisitor& before_block = {}) const;
  void check_terms() const;
  std::uint64_t sum_of_lengths() const noexcept;
  std::uint32_t large_frequency(std::uint64_t posting) const noexcept;

  SegmentArrays arrays_;
  std::shared_ptr<const void> owner_;
  StringTable terms_;
  std::uint64_t n_tokens_ = 0;
  bool full_;
};

}  // namespace likewise::search
