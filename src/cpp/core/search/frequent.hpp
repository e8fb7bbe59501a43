// Terms that many documents hold: beside its postings, such a term has an upper bound of its impact for every document
// in four bits (0: the term is absent). Summing those for a block of documents is a few vector additions a term where
// adding its postings is one load and store each, so a query sums the frequent terms' bounds first and asks for exact
// values only where the bound promises enough. The bounds also find a document's posting: their non-zero ones are
// counted up to every chunk.
#pragma once
#include <cstdint>
#include <cstring>
#include <vector>

#include "likewise/span.hpp"

namespace likewise::search {

/// The bounds of one term.
struct NibbleList {
  static constexpr std::size_t kChunk = 128;  // documents in 64 bytes: kernels/table.hpp has the layout

  std::uint8_t* nibbles = nullptr;
  std::uint32_t* counts = nullptr;  // non-zero nibbles before each chunk

  std::uint32_t get(std::uint32_t document) const noexcept {
    const std::uint32_t in_chunk = document % kChunk;
    return nibbles[document / kChunk * 64 + in_chunk % 64] >> (in_chunk / 64 * 4) & 15u;
  }
  void set(std::uint32_t document, std::uint32_t value) const noexcept {
    const std::uint32_t in_chunk = document % kChunk;
    nibbles[document / kChunk * 64 + in_chunk % 64] |= static_cast<std::uint8_t>(value << (in_chunk / 64 * 4));
  }
  void prefetch(std::uint32_t document) const noexcept {
    __builtin_prefetch(nibbles + document / kChunk * 64);
    __builtin_prefetch(counts + document / kChunk);
  }
  /// Number of documents before this one that hold the term.
  std::size_t rank(std::uint32_t document) const noexcept {
    constexpr std::uint64_t kLowest = 0x0101010101010101ull;
    const std::uint8_t* chunk = nibbles + document / kChunk * 64;
    const std::uint32_t in_chunk = document % kChunk;
    std::size_t count = counts[document / kChunk];
    const auto flags = [&](std::size_t word) {
      std::uint64_t x;
      std::memcpy(&x, chunk + 8 * word, 8);
      return x | x >> 1 | x >> 2 | x >> 3;  // bit 0 of each half byte: whether it is not zero
    };
    const auto ones = [](std::uint64_t x) { return static_cast<std::size_t>(__builtin_popcountll(x)); };
    const std::uint32_t shift = in_chunk / 64 * 4, bytes = in_chunk % 64;
    if (shift != 0)
      for (std::size_t word = 0; word < 8; ++word) count += ones(flags(word) & kLowest);
    for (std::size_t word = 0; word < bytes / 8; ++word) count += ones(flags(word) >> shift & kLowest);
    if (bytes % 8 != 0) count += ones(flags(bytes / 8) >> shift & kLowest & ((std::uint64_t{1} << bytes % 8 * 8) - 1));
    return count;
  }
};

}  // namespace likewise::search
