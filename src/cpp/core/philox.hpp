// Counter-based random numbers: Philox 4x32 with 10 rounds (Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As
// Easy as 1, 2, 3, SC 2011). A word is a pure function of the seed and its coordinates, so any split of the work over
// threads, blocks or machines gives the same numbers, and no state is shared.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace likewise {

using PhiloxBlock = std::array<std::uint32_t, 4>;

/// Four 32-bit words from a 128-bit counter and a 64-bit key, least significant words first.
PhiloxBlock philox4x32(PhiloxBlock counter, std::array<std::uint32_t, 2> key) noexcept;

/// The words of one seed: W(tag, i, t) is word t mod 4 of the block with counter (i mod 2^32, i >> 32, t / 4, tag). The
/// tag keeps the uses of a seed apart, i is a row, column or piece, t counts within it.
class Philox {
 public:
  explicit Philox(std::uint64_t seed) noexcept
      : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)} {}

  /// W(tag, i, 4 * block ... 4 * block + 3).
  PhiloxBlock block(std::uint32_t tag, std::uint64_t i, std::uint32_t block) const noexcept {
    return philox4x32({static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(i >> 32), block, tag}, key_);
  }
  /// W(tag, i, t). Whoever needs neighbours asks for their block.
  std::uint32_t word(std::uint32_t tag, std::uint64_t i, std::uint64_t t) const noexcept {
    return block(tag, i, static_cast<std::uint32_t>(t / 4))[t % 4];
  }
  /// Uniform in [0, 1), a multiple of 2^-53, from W(tag, i, 2t) (low half) and W(tag, i, 2t + 1) (high half).
  double uniform(std::uint32_t tag, std::uint64_t i, std::uint64_t t) const noexcept {
    const PhiloxBlock words = block(tag, i, static_cast<std::uint32_t>(t / 2));
    const std::size_t at = 2 * (t % 2);
    const std::uint64_t both = (static_cast<std::uint64_t>(words[at + 1]) << 32) | words[at];
    return static_cast<double>(both >> 11) * 0x1p-53;
  }

 private:
  std::array<std::uint32_t, 2> key_;
};

}  // namespace likewise
