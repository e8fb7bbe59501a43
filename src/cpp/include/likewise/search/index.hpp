// Exact BM25 over an inverted index: segment (the stored integers) and engine (scores and queries).
// Formulas: Robertson and Zaragoza, The Probabilistic Relevance Framework (2009); Lv and Zhai (2011) for bm25l and
// bm25+; Kamphuis et al. (2020) for the other variants.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "likewise/error.hpp"
#include "likewise/span.hpp"

namespace likewise::search {

enum class Variant { lucene, robertson, atire, bm25l, bm25plus, bm25, okapi };

struct Scoring {
  Variant variant = Variant::lucene;
  double k1 = 1.2, b = 0.75, delta = 0.0;  // k1 and delta: 0, or from 1e-6 to 1e6; b: from 0 to 1
  bool nonoccurrence = true;  // bm25l and bm25+: f(0) counts for documents that lack the term
};

/// The integers of an index, as they are stored. Views: the owner is kept beside them.
struct SegmentArrays {
  span<const std::uint32_t> document_lengths;      // [n_docs] tokens
  span<const std::uint64_t> posting_offsets;       // [n_terms + 1] into the postings
  span<const std::uint32_t> posting_documents;     // [n_postings] ascending within a term
  span<const std::uint8_t> posting_frequencies;    // [n_postings] 1..254, or 255: see the two arrays below
  span<const std::uint64_t> large_positions;       // ascending positions of the postings that hold 255
  span<const std::uint32_t> large_frequencies;     // their frequencies, >= 255
  span<const std::uint64_t> term_offsets;          // [n_terms + 1] into the bytes; terms ascend by their bytes
  span<const std::uint8_t> term_bytes;             // UTF-8
  span<const std::uint32_t> term_slots;            // hash table of the terms
};

/// Calls visit(name, member...) for each array of a segment, in this order. The structs have members of these names, as
/// SegmentArrays and Builder::Result do.
template <class Visit, class... Structs>
void for_each_array(const Visit& visit, Structs&... structs) {
  visit("document_lengths", structs.document_lengths...);
  visit("posting_offsets", structs.posting_offsets...);
  visit("posting_documents", structs.posting_documents...);
  visit("posting_frequencies", structs.posting_frequencies...);
  visit("large_positions", structs.large_positions...);
  visit("large_frequencies", structs.large_frequencies...);
  visit("term_offsets", structs.term_offsets...);
  visit("term_bytes", structs.term_bytes...);
  visit("term_slots", structs.term_slots...);
}

struct Statistics {
  std::uint64_t n_docs = 0, n_terms = 0, n_postings = 0, n_tokens = 0;
  double average_length = 0.0;
};

/// A query's distinct terms in order of first occurrence, and their weights.
struct Query {
  std::vector<std::uint32_t> terms;
  std::vector<double> weights;
};

/// Called with a range of postings before it is checked in full, in order and without gaps. Whoever must read the same
/// bytes (for their digest) does it here: they are then fetched from memory once.
using BlockVisitor = std::function<void(std::uint64_t begin, std::uint64_t end)>;

enum class Method { automatic, exhaustive };

/// Which documents `related` looks for.
struct RelatedOptions {
  bool full = false;             // the whole document as the query, or its keywords
  std::size_t n_keywords = 10;
  double min_df = 2, max_df = 1e300;  // counts, inclusive
  double k3 = -1;                     // < 0: weights are counts (mode full)
};

struct Keyword {
  std::uint32_t term;
  double score;
};

/// An index that has been checked, and answers queries. Const methods may run at the same time in any threads.
class Index {
 public:
  /// The sole maker. `full`: every posting is checked now; otherwise each term's postings are checked when they are
  /// first used. Throws corrupt_error naming the array, value_error naming the parameter. `owner` keeps the arrays
  /// alive. `n_tokens`, the sum of the document lengths, is believed until the full check; without it they are added
  /// up.
  static std::unique_ptr<Index> validate(const SegmentArrays& arrays, std::shared_ptr<const void> owner,
                                         const Scoring& scoring, bool float64, bool full,
                                         std::optional<std::uint64_t> n_tokens = {},
                                         const BlockVisitor& before_block = {});
  virtual ~Index() = default;

  /// The full check, whatever was checked before. Throws corrupt_error.
  virtual void check() const = 0;

  virtual const SegmentArrays& arrays() const noexcept = 0;
  virtual const Statistics& statistics() const noexcept = 0;
  virtual bool float64() const noexcept = 0;
  /// Bytes of the arrays and of all derived structures that a search needs.
  virtual std::uint64_t bytes() const noexcept = 0;

  virtual std::uint32_t find_term(std::string_view term) const noexcept = 0;  // 0xFFFFFFFF: unknown
  virtual std::string_view term(std::uint32_t id) const noexcept = 0;
  virtual std::uint32_t document_frequency(std::uint32_t term) const noexcept = 0;
  virtual double idf(std::uint32_t term) const noexcept = 0;
  /// (frequency, impact idf * (f(tf) - f(0)) as rounded to the index's type) of a term in a document; (0, 0) if absent.
  virtual std::pair<std::uint32_t, double> posting(std::uint32_t term, std::uint32_t document) const = 0;
  /// Sum over the query of what every document gets (bm25l and bm25+ with nonoccurrence).
  virtual double baseline(const Query& query) const = 0;

  /// Distinct terms in order of first occurrence; weight = count (k3 < 0) or (k3 + 1) count / (k3 + count).
  /// Unknown tokens (0xFFFFFFFF) are left out.
  Query make_query(span<const std::uint32_t> tokens, double k3) const;

  /// The k best documents without `excluded` (or -1), best first: at most min(k, n_docs) entries of `documents` and
  /// `scores` (float, or double if float64()) are written. Returns how many.
  virtual std::size_t search(const Query& query, std::size_t k, Method method, std::int64_t excluded,
                             unsigned n_threads, std::int64_t* documents, void* scores) const = 0;
  /// Scores of all documents: [n_docs].
  virtual void score_all(const Query& query, void* scores) const = 0;
  /// Scores of some documents, each < n_docs.
  virtual void score_some(const Query& query, span<const std::int64_t> documents, void* scores) const = 0;

  virtual std::vector<Keyword> keywords(std::uint32_t document, std::size_t n, double min_df, double max_df) const = 0;
  /// The query that stands for a document.
  virtual Query related_query(std::uint32_t document, const RelatedOptions& options) const = 0;

  /// Derives everything that searches use; with the documents' term lists that keywords and related use.
  virtual void warm(unsigned n_threads) const = 0;
};

}  // namespace likewise::search
