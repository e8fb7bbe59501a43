#include "core/search/segment.hpp"

#include <algorithm>
#include <string>

#include "core/dispatch.hpp"
#include "core/search/keys.hpp"

namespace likewise::search {

Segment::Segment(const SegmentArrays& arrays, std::shared_ptr<const void> owner, bool full,
                 std::optional<std::uint64_t> n_tokens, const BlockVisitor& before_block)
    : arrays_(arrays),
      owner_(std::move(owner)),
      terms_(arrays.term_offsets, arrays.term_bytes, arrays.term_slots, "term"),
      full_(full) {
  const SegmentArrays& a = arrays_;
  const std::size_t n_postings = a.posting_documents.size;
  if (a.document_lengths.size >= kNotFound - 1)
    throw corrupt_error("document_lengths", "expected fewer than 2**32 - 2 documents");
  if (a.posting_frequencies.size != n_postings)
    throw corrupt_error("posting_frequencies", "expected one frequency a posting");
  if (a.posting_offsets.size != terms_.size() + 1 || a.posting_offsets[0] != 0 ||
      a.posting_offsets[terms_.size()] != n_postings)
    throw corrupt_error("posting_offsets", "expected one offset a term, from 0 to the number of postings");
  if (!ascend(a.posting_offsets)) throw corrupt_error("posting_offsets", "expected offsets that do not decrease");
  bool too_long = false;
  visit_frequent_terms(n_docs(), [&](std::uint32_t) { too_long = true; });
  if (too_long) throw corrupt_error("posting_offsets", "expected at most one posting a document");
  if (a.large_positions.size != a.large_frequencies.size)
    throw corrupt_error("large_frequencies", "expected one frequency a position");
  for (std::size_t i = 0; i < a.large_positions.size; ++i) {
    if (a.large_positions[i] >= n_postings || (i > 0 && a.large_positions[i] <= a.large_positions[i - 1]))
      throw corrupt_error("large_positions", "expected ascending positions of postings");
    if (a.posting_frequencies[a.large_positions[i]] != 255 || a.large_frequencies[i] < 255)
      throw corrupt_error("large_frequencies", "expected frequencies of 255 or more where a posting holds 255");
  }
  n_tokens_ = n_tokens ? *n_tokens : sum_of_lengths();
  if (full) check_all(before_block);
}

std::uint64_t Segment::sum_of_lengths() const noexcept {
  std::uint64_t sum = 0;
  for (const std::uint32_t length : arrays_.document_lengths) sum += length;
  return sum;
}

void Segment::check_all(const BlockVisitor& before_block) const {
  if (!terms_.ascends_in_slots()) check_terms();
  check_range(0, static_cast<std::uint32_t>(terms_.size()), before_block);
  if (const std::uint64_t sum = sum_of_lengths(); sum != n_tokens_)
    throw corrupt_error("statistics", "expected n_tokens " + std::to_string(sum) + ", as the arrays have it");
}

/// What ascends_in_slots() says no to, in words.
void Segment::check_terms() const {
  terms_.check_content("term");
  for (std::size_t i = 1; i < terms_.size(); ++i)
    if (terms_[i - 1].compare(terms_[i]) >= 0)
      throw corrupt_error("term_bytes",
                          "expected strings in ascending order of their bytes, string " + std::to_string(i));
  check_slots(terms_, "term", false);
}

void Segment::check_range(std::uint32_t first_term, std::uint32_t last_term, const BlockVisitor& before_block) const {
  const SegmentArrays& a = arrays_;
  const auto& kernels = kernel_table().search;
  const std::uint64_t begin = a.posting_offsets[first_term], end = a.posting_offsets[last_term];
  if (begin == end) return;
  // One flat pass: the only descents are at the ends of lists, so counting them on both sides proves the rest; and the
  // largest document of a list is then its last. In blocks that fit the cache, so that a posting is read from memory
  // once.
  const auto documents = a.posting_documents.data;
  std::uint32_t term = first_term + 1, largest = documents[end - 1];
  std::uint64_t descents = 0, at_ends = 0;
  std::size_t zeros = 0, full = 0;
  constexpr std::uint64_t kStep = std::uint64_t{1} << 17;
  for (std::uint64_t at = begin; at < end; at += kStep) {
    const std::uint64_t stop = std::min(at + kStep, end);
    const std::size_t overlap = stop < end ? 1 : 0;
    if (before_block) before_block(at, stop);
    descents += kernels.count_descents(documents + at, stop - at + overlap);
    kernels.count_extremes(a.posting_frequencies.data + at, stop - at, &zeros, &full);
    for (; term < last_term && a.posting_offsets[term] <= stop; ++term) {
      const std::uint64_t p = a.posting_offsets[term];
      // An empty list shares its end with the one before: count each position once.
      if (p == begin || p == end || p == a.posting_offsets[term - 1]) continue;
      at_ends += documents[p - 1] >= documents[p];
      largest = std::max(largest, documents[p - 1]);
    }
  }
  if (descents != at_ends) largest = *std::max_element(documents + begin, documents + end);
#if defined(LIKEWISE_PLANTED_DEFECT)  // fuzzing must find it
  if (largest > n_docs()) throw corrupt_error("posting_documents", "expected documents of this index");
#else
  if (largest >= n_docs()) throw corrupt_error("posting_documents", "expected documents of this index");
#endif
  if (descents != at_ends) throw corrupt_error("posting_documents", "expected documents that ascend within a term");
  if (zeros != 0) throw corrupt_error("posting_frequencies", "expected frequencies of 1 or more");
  const auto first = std::lower_bound(a.large_positions.begin(), a.large_positions.end(), begin);
  const auto last = std::lower_bound(first, a.large_positions.end(), end);
  if (full != static_cast<std::size_t>(last - first))
    throw corrupt_error("large_positions", "expected a position for each posting that holds 255");
}

std::uint64_t Segment::find_posting(std::uint32_t term, std::uint32_t document) const noexcept {
  const std::uint32_t* documents = arrays_.posting_documents.data;
  const std::uint64_t begin = arrays_.posting_offsets[term], end = arrays_.posting_offsets[term + 1];
  const std::uint32_t* at = std::lower_bound(documents + begin, documents + end, document);
  const bool found = at != documents + end && *at == document;
  return found ? static_cast<std::uint64_t>(at - documents) : arrays_.posting_documents.size;
}

std::uint32_t Segment::large_frequency(std::uint64_t posting) const noexcept {
  const auto at = std::lower_bound(arrays_.large_positions.begin(), arrays_.large_positions.end(), posting);
  return at == arrays_.large_positions.end() || *at != posting
             ? 255
             : arrays_.large_frequencies[static_cast<std::size_t>(at - arrays_.large_positions.begin())];
}

std::uint64_t Segment::bytes() const noexcept {
  const SegmentArrays& a = arrays_;
  return 4 * a.document_lengths.size + 8 * a.posting_offsets.size + 5 * a.posting_documents.size +
         12 * a.large_positions.size + 8 * a.term_offsets.size + a.term_bytes.size + 4 * a.term_slots.size;
}

}  // namespace likewise::search
