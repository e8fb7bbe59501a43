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

  static constexpr std::size_t kInline = 16;

  /// A token of up to 16 ASCII letters and digits, in lower case where case is folded.
  struct Key {
    std::uint64_t low, high, hash;
    std::uint32_t size;
  };
  /// `readable`: bytes that may be read at `p`, >= size.
  Key ascii_key(const unsigned char* p, std::size_t size, std::size_t readable) const noexcept {
    // Setting bit 5 lowers letters and leaves digits alone.
    return inline_key(p, size, readable, lower_, 0);
  }
  /// The same for any token of up to 16 bytes, as it stands in the text.
  Key surface_key(const unsigned char* p, std::size_t size, std::size_t readable) const noexcept {
    return inline_key(p, size, readable, 0, kRaw);
  }
  /// Asks for the memory that find(key) will read: the table outgrows the caches, and a miss costs more than all else.
  void prefetch(const Key& key) const noexcept { __builtin_prefetch(&slots_[key.hash & mask_]); }
  /// Whether ascii_key or surface_key made it (a larger size is free for the caller's own marks).
  static bool is_inline(const Key& key) noexcept { return (key.size & ~kRaw) <= kInline; }
  std::uint32_t find(const Key& key) {
    const Slot* slot = find_slot(key);
    return slot->size != 0 ? slot->value : add(key);
  }
  /// The form of a longer token of ASCII letters and digits.
  std::uint32_t find_long_ascii(std::string_view surface);
  /// The form of any other token (valid UTF-8).
  std::uint32_t find(std::string_view surface);

  /// The number of a form that another table made with the same analyzer.
  std::uint32_t number(std::string_view form) { return find_form(form, Analyzer::Verdict::kept); }

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

  Key inline_key(const unsigned char* p, std::size_t size, std::size_t readable, std::uint64_t lower,
                 std::uint32_t raw) const noexcept {
    Key key;
    key.low = key.high = 0;
    const std::size_t in_low = size < 8 ? size : 8, in_high = size - in_low;
    if (readable >= kInline) {
      std::memcpy(&key.low, p, 8);
      std::memcpy(&key.high, p + 8, 8);
    } else {
      std::memcpy(&key.low, p, in_low);
      if (in_high > 0) std::memcpy(&key.high, p + 8, in_high);
    }
    key.low = (key.low | lower) & kMasks[in_low];
    key.high = (key.high | lower) & kMasks[in_high];
    key.size = static_cast<std::uint32_t>(size) | raw;
    key.hash = hash(key.low, key.high, key.size);
    return key;
  }
  std::uint64_t hash(std::uint64_t low, std::uint64_t high, std::uint32_t size) const noexcept {
    // Seeded, so that no text can be made to collide. Multiplication folds its high half into the low one.
    const std::uint64_t other = seed_ >> 1 | 0x8000000000000001u;
    const auto product = static_cast<unsigned __int128>(low ^ seed_) * (high ^ size ^ other);
    return static_cast<std::uint64_t>(product ^ (product >> 64));
  }
  Slot* find_slot(const Key& key) noexcept {
    const std::uint32_t stored = key.size + 1;
    for (std::size_t at = key.hash & mask_;; at = (at + 1) & mask_) {
      Slot& slot = slots_[at];
      if (slot.size == 0 || (slot.low == key.low && slot.high == key.high && slot.size == stored)) return &slot;
    }
  }
  Slot* find_key(std::string_view text, bool raw, Key& key);
  std::uint32_t add(const Key& key);
  std::uint32_t find_form(std::string_view form, Analyzer::Verdict verdict);
  std::uint32_t add_form(std::string_view form);
  void insert(const Key& key, std::uint32_t value);
  void place(const Slot& slot);

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
