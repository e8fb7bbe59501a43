// Inner loop of whitening. Element by element: equal bits at every level.
#include <limits>

#include "kernels/simd.hpp"
#include "kernels/table.hpp"

namespace likewise::kernels::LIKEWISE_LEVEL {
namespace {

template <class T>
T centre(const T* x, const T* mean, const T* rest, std::size_t n_rows, std::size_t n_columns, T* out) {
  // Of numbers without their sign, bits ascend as the numbers do; those of NaN come after infinity.
  using Bits = typename signed_of<T>::type;
  constexpr Bits magnitude = std::numeric_limits<Bits>::max();
  vec<Bits> largest{};
  Bits largest_alone = 0;
  const auto centre_register = [&](const T* row, T* result, std::size_t j) {
    const vec<T> v = load(row + j) - load(mean + j) - load(rest + j);
    store(result + j, v);
    const vec<Bits> size = (vec<Bits>)v & magnitude;
    largest = size > largest ? size : largest;
  };
  for (std::size_t i = 0; i < n_rows; ++i, x += n_columns, out += n_columns) {
    std::size_t j = 0;
    for (; j + lanes<T> <= n_columns; j += lanes<T>) centre_register(x, out, j);
    if (j < n_columns && n_columns >= lanes<T>) {
      centre_register(x, out, n_columns - lanes<T>);  // some columns a second time
    } else {
      for (; j < n_columns; ++j) {
        const T v = x[j] - mean[j] - rest[j];
        out[j] = v;
        Bits bits;
        std::memcpy(&bits, &v, sizeof bits);
        bits &= magnitude;
        largest_alone = bits > largest_alone ? bits : largest_alone;
      }
    }
  }
  for (std::size_t l = 0; l < lanes<T>; ++l) largest_alone = largest[l] > largest_alone ? largest[l] : largest_alone;
  T found;
  std::memcpy(&found, &largest_alone, sizeof found);
  return found;
}

}  // namespace

extern const WhiteningTable whitening_kernels;
constexpr WhiteningTable whitening_kernels{{centre<float>}, {centre<double>}};

}  // namespace likewise::kernels::LIKEWISE_LEVEL
