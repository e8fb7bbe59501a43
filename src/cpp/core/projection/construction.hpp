// What a way to draw S must be able to do. An applier holds what one thread needs to apply S to row after row.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "core/philox.hpp"
#include "likewise/projection.hpp"

namespace likewise::projection {

/// Whole cache lines: a register's load or store from the start of one never touches two.
template <class T>
struct LineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};
  LineAllocator() = default;
  template <class U>
  LineAllocator(const LineAllocator<U>&) noexcept {}
  T* allocate(std::size_t n) {
    if (n > ~std::size_t{0} / sizeof(T)) throw std::bad_alloc();
    return static_cast<T*>(::operator new(n * sizeof(T), kLine));
  }
  void deallocate(T* p, std::size_t) noexcept { ::operator delete(p, kLine); }
  friend bool operator==(const LineAllocator&, const LineAllocator&) { return true; }
  friend bool operator!=(const LineAllocator&, const LineAllocator&) { return false; }
};
template <class T>
using AlignedVector = std::vector<T, LineAllocator<T>>;

template <class T>
class Applier {
 public:
  virtual ~Applier() = default;
  /// out = the images of n dense rows, where n <= rows_at_once(). Returns the first that is not finite, n if all are.
  virtual std::size_t apply(const T* x, std::size_t n, T* out) = 0;
  virtual std::size_t rows_at_once() const { return 16; }
  /// A sparse row in one or more pieces, then `finish`, which says whether the image is finite. A column may come
  /// twice: its values add up.
  virtual void add(const std::uint32_t* columns, const T* values, std::size_t n) = 0;
  virtual bool finish(T* out) = 0;
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
  /// For at most `most_rows` rows at once: one row should not pay for the room that many need.
  virtual std::unique_ptr<Applier<float>> applier(float, std::size_t most_rows) const = 0;
  virtual std::unique_ptr<Applier<double>> applier(double, std::size_t most_rows) const = 0;
  /// Whether S may have empty columns, so that results can be finite where the input is not.
  virtual bool has_empty_columns() const { return false; }
};

/// One a method, in the file of its name. The parameters have been checked.
std::unique_ptr<const Construction> make_hadamard(const Parameters& parameters);
std::unique_ptr<const Construction> make_sparse(const Parameters& parameters);  // and countsketch, very_sparse, ...
std::unique_ptr<const Construction> make_gaussian(const Parameters& parameters);
std::unique_ptr<const Construction> make_srht(const Parameters& parameters);

/// The random permutation of 0 ... n - 1 that `tag` and `i` name: from a = n - 1 down to 1, a is swapped with
/// (W(tag, i, a) * (a + 1)) >> 32.
std::vector<std::uint32_t> permutation(const Philox& words, std::uint32_t tag, std::uint64_t i, std::uint64_t n);

/// The first `count` of it, ascending.
std::vector<std::uint32_t> sample(const Philox& words, std::uint32_t tag, std::uint64_t i, std::uint64_t n,
                                  std::size_t count);

}  // namespace likewise::projection
