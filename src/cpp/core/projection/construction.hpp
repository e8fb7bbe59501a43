// What a way to draw S must be able to do. An applier holds what one thread needs to apply S to row after row.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/philox.hpp"
#include "likewise/projection.hpp"

namespace likewise::projection {

template <class T>
class Applier {
 public:
  virtual ~Applier() = default;
  /// out = the images of n dense rows, where n <= rows_at_once().
  virtual void apply(const T* x, std::size_t n, T* out) = 0;
  virtual std::size_t rows_at_once() const { return 16; }
  /// A sparse row in one or more pieces, then `finish`. A column may come twice: its values add up.
  virtual void add(const std::uint32_t* columns, const T* values, std::size_t n) = 0;
  virtual void finish(T* out) = 0;
  /// Column c of S.
  virtual void column(std::uint32_t c, T* out) {
    const T one = 1;
    add(&c, &one, 1);
    finish(out);
  }
};

class Construction {
 public:
  virtual ~Construction() = default;
  virtual std::unique_ptr<Applier<float>> applier(float) const = 0;
  virtual std::unique_ptr<Applier<double>> applier(double) const = 0;
  /// Whether S may have empty columns, so that results can be finite where the input is not.
  virtual bool has_empty_columns() const { return false; }
};

/// One a method, in the file of its name. The parameters have been checked.
std::unique_ptr<const Construction> make_hadamard(const Parameters& parameters);
std::unique_ptr<const Construction> make_sparse(const Parameters& parameters);  // sjlt, countsketch, very_sparse, achlioptas
std::unique_ptr<const Construction> make_gaussian(const Parameters& parameters);
std::unique_ptr<const Construction> make_srht(const Parameters& parameters);

/// The random permutation of 0 ... n - 1 that `tag` and `i` name: from a = n - 1 down to 1, a is swapped with
/// (W(tag, i, a) * (a + 1)) >> 32.
std::vector<std::uint32_t> permutation(const Philox& words, std::uint32_t tag, std::uint64_t i, std::uint64_t n);

/// The first `count` of it, ascending.
std::vector<std::uint32_t> sample(const Philox& words, std::uint32_t tag, std::uint64_t i, std::uint64_t n,
                                  std::size_t count);

}  // namespace likewise::projection
