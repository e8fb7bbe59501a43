// From surfaces (tokens as they stand in a text) to numbered forms. A hash table whose slots hold keys of up to 16
// bytes themselves, so that most look-ups touch one cache line; longer keys lie in an arena.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "likewise/search/building.hpp"

namespace likewise::search {

class FormTable {
 public:
  static constexpr std::uint32_t kDropped = 0xFFFFFFFFu, kOverlong = 0xFFFFFFFEu;  // instead of a form's number

  explicit FormTable(const Analyzer& analyzer);

  /// The form of a token of ASCII letters and digits only. `readable`: bytes that may be read at `p`, >= size.
  std::uint32_t find_ascii(const unsigned char* p, std::size_t size, std::size_t readable) {
    if (size > 16) return find_long_ascii(p, size);
    // Setting bit 5 lowers letters and leaves digits alone.
    std::uint64_t low = 0, high = 0;
    if (readable >= 16) {
      std::memcpy(&low, p, 8);
      std::memcpy(&high, p + 8, 8);
      const std::size_t in_low = size < 8 ? size : 8, in_high = size - in_low;
      low = (low | lower_) & kMasks[in_low];
      high = (high | lower_) & kMasks[in_high];
    } else {
      const std::size_t in_low = size < 8 ? size : 8;
      std::memcpy(&low, p, in_low);
      low = (low | lower_) & kMasks[in_low];
      if (size > 8) {
        std::memcpy(&high, p + 8, size - 8);
        high = (high | lower_) & kMasks[size - 8];
      }
    }
    const Slot* slot = find_slot(low, high, static_cast<std::uint32_t>(size));
    return slot->size != 0 ? slot->value : add_ascii(low, high, size);
  }
  /// The form of any other token (valid UTF-8).
  std::uint32_t find(std::string_view surface);

  std::size_t size() const noexcept { return offsets_.size() - 1; }
  std::string_view operator[](std::size_t form) const noexcept {
    return {bytes_.data() + offsets_[form], static_cast<std::size_t>(offsets_[form + 1] - offsets_[form])};
  }

 private:
  // `size` is the key's number of bytes + 1 (0: empty), with kRaw for surfaces that are not their own form. `low` and
  // `high` hold up to 16 bytes padded with zeros, or the key's hash and its place in the arena.
  struct Slot {
    std::uint64_t low, high;
    std::uint32_t size, value;
  };
  static constexpr std::uint32_t kRaw = 0x80000000u;
  static constexpr std::uint64_t kMasks[9] = {0,           0xFF,          0xFFFF,          0xFFFFFF,         0xFFFFFFFF,
                                              0xFFFFFFFFFF, 0xFFFFFFFFFFFF, 0xFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF};

  std::size_t hash(std::uint64_t low, std::uint64_t high, std::uint32_t size) const noexcept {
    // Seeded, so that no text can be made to collide. Multiplication folds its high half into the low one.
    const auto product = static_cast<unsigned __int128>(low ^ seed_) * (high ^ size ^ (seed_ >> 1 | 0x8000000000000001u));
    return static_cast<std::size_t>(product ^ (product >> 64));
  }
  Slot* find_slot(std::uint64_t low, std::uint64_t high, std::uint32_t size) noexcept {
    const std::uint32_t stored = size + 1;
    for (std::size_t at = hash(low, high, stored) & mask_;; at = (at + 1) & mask_) {
      Slot& slot = slots_[at];
      if (slot.size == 0 || (slot.low == low && slot.high == high && slot.size == stored)) return &slot;
    }
  }
  struct Key {
    std::uint64_t low, high;
    std::uint32_t size;
  };
  Slot* find_key(std::string_view key, bool raw, Key& out);
  std::uint32_t add_ascii(std::uint64_t low, std::uint64_t high, std::size_t size);
  std::uint32_t find_long_ascii(const unsigned char* p, std::size_t size);
  std::uint32_t find_form(std::string_view form, Analyzer::Verdict verdict);
  std::uint32_t add_form(std::string_view form);
  void insert(const Key& key, std::uint32_t value);

  const Analyzer& analyzer_;
  const std::uint64_t lower_;  // bit 5 of each byte, or 0 where case is kept
  std::uint64_t seed_;
  std::vector<Slot> slots_;
  std::size_t mask_, used_ = 0;
  std::vector<char> bytes_;  // the forms, one behind the other
  std::vector<std::uint64_t> offsets_{0};
  std::vector<char> surfaces_;  // surfaces of more than 16 bytes
  std::string scratch_;
};

}  // namespace likewise::search
