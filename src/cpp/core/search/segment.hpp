// The stored integers of an index after their check. Whoever holds a Segment may index with what it returns.
#pragma once
#include <memory>

#include "core/search/string_table.hpp"
#include "likewise/search/index.hpp"

namespace likewise::search {

class Segment {
 public:
  /// Checks everything but the postings; with `full` those too, and the text of the terms.
  Segment(const SegmentArrays& arrays, std::shared_ptr<const void> owner, bool full,
          const BlockVisitor& before_block = {});

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
  /// Position of the term's posting for the document, or of the end of the index.
  std::uint64_t find_posting(std::uint32_t term, std::uint32_t document) const noexcept;
  std::uint32_t frequency(std::uint64_t posting) const noexcept {
    const std::uint8_t small = arrays_.posting_frequencies[posting];
    return small < 255 ? small : large_frequency(posting);
  }
  std::uint64_t bytes() const noexcept;

 private:
  void check_range(std::uint32_t first_term, std::uint32_t last_term, const BlockVisitor& before_block = {}) const;
  std::uint32_t large_frequency(std::uint64_t posting) const noexcept;

  SegmentArrays arrays_;
  std::shared_ptr<const void> owner_;
  StringTable terms_;
  std::uint64_t n_tokens_ = 0;
  bool full_;
};

}  // namespace likewise::search
