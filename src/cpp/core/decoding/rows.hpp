// One row of logits, read where it is: contiguous numbers of the working type as they are, all others a piece at a time.
#pragma once
#include <algorithm>
#include <cstring>
#include <limits>

#include "core/dispatch.hpp"
#include "likewise/decoding.hpp"

namespace likewise::decoding {

inline constexpr std::size_t kBlock = kernels::kTokenBlock;

template <class T>
const kernels::SamplingKernels<T>& sampling_kernels() {
  if constexpr (sizeof(T) == 4) {
    return kernel_table().decoding.f32;
  } else {
    return kernel_table().decoding.f64;
  }
}

/// The working type T is float, or double for float64 logits and for temperatures that float cannot divide by.
template <class T>
class Row {
 public:
  Row(const Logits& logits, std::size_t row)
      : data_(logits.data + static_cast<std::ptrdiff_t>(row) * logits.row_stride),
        stride_(logits.element_stride),
        n_(logits.n_vocabulary),
        element_(logits.element) {}

  std::size_t size() const { return n_; }
  std::size_t n_blocks() const { return (n_ + kBlock - 1) / kBlock; }

  /// Calls use(first, z, n) with all logits in order; `first` is a multiple of kBlock.
  template <class Use>
  void for_pieces(const Use& use) const {
    if (const T* whole = contiguous()) return use(std::size_t{0}, whole, n_);
    T piece[kBlock];
    for (std::size_t first = 0; first < n_; first += kBlock) {
      const std::size_t n = std::min(kBlock, n_ - first);
      read(first, n, piece);
      use(first, static_cast<const T*>(piece), n);
    }
  }

  /// Block b where it is, or in `piece`, which has room for kBlock numbers.
  const T* block(std::size_t b, T* piece, std::size_t* n) const {
    const std::size_t first = b * kBlock;
    *n = std::min(kBlock, n_ - first);
    if (const T* whole = contiguous()) return whole + first;
    read(first, *n, piece);
    return piece;
  }

  T at(std::size_t i) const {
    T value;
    read(i, 1, &value);
    return value;
  }

 private:
  const T* contiguous() const {
    constexpr Element own = sizeof(T) == 4 ? Element::float32 : Element::float64;
    return element_ == own && stride_ == static_cast<std::ptrdiff_t>(sizeof(T)) ? reinterpret_cast<const T*>(data_)
                                                                                 : nullptr;
  }

  template <class S>
  void copy(std::size_t first, std::size_t n, S* out) const {
    const char* from = data_ + static_cast<std::ptrdiff_t>(first) * stride_;
    if (stride_ == static_cast<std::ptrdiff_t>(sizeof(S))) {
      std::memcpy(out, from, n * sizeof(S));
      return;
    }
    for (std::size_t i = 0; i < n; ++i, from += stride_) std::memcpy(out + i, from, sizeof(S));
  }
  template <class S>
  static void widen(const S* from, std::size_t n, T* out) {
    for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<T>(from[i]);
  }

  void read(std::size_t first, std::size_t n, T* out) const {
    if (element_ == Element::float32) {
      float z[kBlock];
      copy(first, n, z);
      return widen(z, n, out);
    }
    if (element_ == Element::float64) {
      double z[kBlock];
      copy(first, n, z);
      return widen(z, n, out);
    }
    std::uint16_t bits[kBlock];
    float z[kBlock];
    copy(first, n, bits);
    const kernels::DecodingTable& k = kernel_table().decoding;
    (element_ == Element::float16 ? k.from_halves : k.from_bfloats)(bits, n, z);
    widen(z, n, out);
  }

  const char* data_;
  std::ptrdiff_t stride_;
  std::size_t n_;
  Element element_;
};

}  // namespace likewise::decoding
