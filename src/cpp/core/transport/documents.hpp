// What the distance of two documents and the search have in common.
#pragma once
#include <memory>
#include <vector>

#include "core/dispatch.hpp"
#include "likewise/transport/documents.hpp"
#include "likewise/transport/exact.hpp"

namespace likewise::transport {

template <class T>
const kernels::DocumentKernels<T>& document_kernels() {
  if constexpr (sizeof(T) == 4) {
    return kernel_table().documents.f32;
  } else {
    return kernel_table().documents.f64;
  }
}

/// Distinct words, ascending, and their weights, above 0 and of sum 1.
struct Words {
  std::vector<std::int64_t> words;
  std::vector<double> weights;
};

/// Throws value_error unless every word is below n_words and a count is above 0.
Words distinct_words(const Bag& bag, std::size_t n_words, const char* argument);

/// The words of a query as the kernels want them.
template <class T>
struct QueryColumns {
  QueryColumns(const T* vectors, std::size_t dim, const Words& query);

  std::size_t n, stride;
  std::unique_ptr<T[]> columns;  // dim x stride
  std::vector<double> weights;   // stride
};

/// Word Mover's Distance of one document, whose words are rows of a table of distances (and of their least ones, `nearest`),
/// and the query. Keeps its memory from one document to the next; one thread at a time.
template <class T>
class DocumentSolver {
 public:
  double solve(const T* distances, const T* nearest, const QueryColumns<T>& query, const std::int32_t* words,
               const double* weights, std::size_t n);

 private:
  std::vector<double> a_, b_;
  std::vector<std::size_t> rows_, columns_;
  std::vector<T> cost_;
  NetworkSimplex simplex_;
};

}  // namespace likewise::transport
