// Random projections drawn from a seed: y = S x keeps distances and inner products nearly as they were
// (Johnson and Lindenstrauss 1984). S is a pure function of its parameters, of which only caches are stored.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "likewise/error.hpp"
#include "likewise/span.hpp"

namespace likewise::projection {

enum class Method {
  hadamard,     // block-Hadamard balanced fold: orthogonal columns in every block, each output used equally often
  sjlt,         // nnz entries of +-1 / sqrt(nnz) a column (Kane and Nelson 2014)
  countsketch,  // sjlt with nnz = 1
  very_sparse,  // each entry nonzero with probability `density` (Li, Hastie and Church 2006)
  achlioptas,   // the same with density 1/3 (Achlioptas 2003)
  gaussian,     // normal entries
  srht,         // rows of a signed Hadamard matrix (Ailon and Chazelle 2009; Tropp 2011)
};

struct Parameters {
  Method method = Method::hadamard;
  std::uint64_t n_features = 0;    // 1 to 2^32 - 1
  std::uint64_t n_components = 0;  // 1 to 2^31 - 1; srht: at most the power of two at or above n_features
  std::uint64_t seed = 0;
  std::uint64_t nnz = 0;           // sjlt: 1 to 15 and at most n_components, or a multiple of 16 where 16 divides both
  double density = 0;              // very_sparse: above 0, at most 1
};

/// Rows of a sparse matrix. `indptr` has one entry more than rows; Index and Offset are int32 or int64.
template <class T, class Index, class Offset>
struct CsrRows {
  span<const Offset> indptr;
  span<const Index> indices;
  span<const T> data;
};

class Construction;

/// One matrix S of shape (n_components, n_features). Immutable; may be used from several threads at once.
class Projection {
 public:
  explicit Projection(const Parameters& parameters);  // throws value_error naming the parameter
  ~Projection();
  Projection(Projection&&) noexcept;

  const Parameters& parameters() const { return parameters_; }

  /// out[i] = S x[i] for n rows. The same bits for any split into calls and any number of threads. Returns the first
  /// row whose result is not finite (or that holds a value that is not), -1 if there is none.
  template <class T>
  std::int64_t transform(const T* x, std::size_t n, T* out, unsigned n_threads) const;

  /// The same for sparse rows, and the same bits where columns ascend within the rows. Everything is checked: throws
  /// value_error where offsets or columns break their rules, whatever another thread writes into the arrays meanwhile.
  template <class T, class Index, class Offset>
  std::int64_t transform(const CsrRows<T, Index, Offset>& x, T* out, unsigned n_threads) const;

  /// Columns first ... first + n - 1 of S, one a row of `out`: the images of unit vectors.
  template <class T>
  void columns(std::size_t first, std::size_t n, T* out) const;

  /// Bit j of code i (LSB first) is 1 iff component j of S x[i] is >= 0; unused bits are 0 (Charikar 2002). A code has
  /// ceil(n_components / 8) bytes. Returns as `transform`.
  template <class T>
  std::int64_t sign_codes(const T* x, std::size_t n, std::uint8_t* codes, unsigned n_threads) const;

 private:
  template <class T, class Consume>
  std::int64_t each_piece(const T* x, std::size_t n, unsigned n_threads, const Consume& consume) const;

  Parameters parameters_;
  std::unique_ptr<const Construction> construction_;
};

/// distances[i * n_b + j] = number of bits in which code i of a and code j of b differ; codes of n_bytes bytes.
void hamming_distances(const std::uint8_t* a, std::size_t n_a, const std::uint8_t* b, std::size_t n_b,
                       std::size_t n_bytes, std::int32_t* distances, unsigned n_threads);

}  // namespace likewise::projection
