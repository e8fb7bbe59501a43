// Documents as bags of words: Word Mover's Distance (Kusner et al. 2015), bounds from below, and exact search.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "likewise/error.hpp"
#include "likewise/span.hpp"

namespace likewise::transport {

/// Words of one document as numbers of rows of a table of vectors, repeated or not, and how often each counts: finite
/// and >= 0, of a sum above 0; empty: once each. Otherwise value_error.
struct Bag {
  span<const std::int64_t> words;
  span<const double> counts;
};

enum class DocumentDistance {
  word_movers,  // the least cost of moving the words of one document to those of the other
  relaxed,      // the larger of the costs of moving each word to the nearest word of the other document
  centroid,     // between the means
};

/// The distance of two documents by Euclidean distances of their words' vectors: rows of `vectors` (each of `dim`
/// finite values), of length one if `normalize`; then a row of zeros is refused. Throws value_error.
template <class T>
double document_distance(DocumentDistance kind, span<const T> vectors, std::size_t dim, const Bag& a, const Bag& b,
                         bool normalize);

/// out[i] = vectors[i] / |vectors[i]| (a row of zeros stays), or vectors[i] / 2^e with one e, which is returned, such
/// that the largest value is in [1, 2): its square neither over- nor underflows. Finite values only.
template <class T>
int prepare_vectors(const T* vectors, std::size_t n, std::size_t dim, bool normalize, T* out, unsigned n_threads);

/// What a search did and found.
struct DocumentHits {
  std::vector<std::int64_t> documents;  // by distance, then number
  std::vector<double> distances;
  std::int64_t n_bounded = 0;  // documents whose bound was computed: all that have words
  std::int64_t n_refined = 0;  // documents whose bound was not enough and was made better
  std::int64_t n_solved = 0;   // documents whose distance was computed
};

/// Many documents, to be ranked by Word Mover's Distance. Immutable; may be used from several threads at once.
template <class T>
class DocumentIndex {
 public:
  struct Arrays {
    span<const T> vectors;             // V x dim, as `prepare_vectors` leaves them
    std::size_t dim = 0;
    span<const std::int32_t> terms;    // the rows that stand in documents, each once
    span<const std::int64_t> indptr;   // document d has words indptr[d] ... indptr[d + 1] - 1
    span<const std::int32_t> words;    // positions in `terms`, ascending within a document
    span<const double> weights;        // above 0, of sum 1 within a document
  };
  /// Looks at every value. `owner` keeps the arrays alive. Throws corrupt_error naming the array.
  static std::unique_ptr<DocumentIndex> validate(const Arrays& arrays, std::shared_ptr<const void> owner);

  /// The k documents nearest to the query, whose words are rows of `vectors`. Bounds from below decide in which order
  /// documents are looked at, and when none can be nearer than those found. The same hits for any n_threads.
  DocumentHits search(const Bag& query, std::size_t k, unsigned n_threads) const;

 private:
  DocumentIndex(const Arrays& arrays, std::shared_ptr<const void> owner);

  Arrays arrays_;
  std::shared_ptr<const void> owner_;
};

}  // namespace likewise::transport
