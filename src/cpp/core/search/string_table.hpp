// Distinct byte strings, found by content: offsets + bytes + a hash table of 32-bit slots. All three are plain arrays,
// so that a table is searched where it lies, in memory or in a mapped file.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "likewise/span.hpp"

namespace likewise::search {

inline constexpr std::uint32_t kNotFound = 0xFFFFFFFFu;

/// 64-bit hash of bytes. Stored in files: it must never change.
std::uint64_t hash_bytes(std::string_view bytes) noexcept;

class StringTable {
 public:
  StringTable() = default;
  /// Views the arrays: string i is bytes[offsets[i], offsets[i+1]); a slot holds i + 1, or 0 where it is empty.
  /// Throws corrupt_error (with `name` as prefix of the array's name) unless every look-up stays inside the arrays.
  StringTable(span<const std::uint64_t> offsets, span<const std::uint8_t> bytes, span<const std::uint32_t> slots,
              const char* name);

  std::size_t size() const noexcept { return size_; }
  std::string_view operator[](std::size_t i) const noexcept {
    const auto length = static_cast<std::size_t>(offsets_[i + 1] - offsets_[i]);
    return {reinterpret_cast<const char*>(bytes_) + offsets_[i], length};
  }
  /// The number of the string, or kNotFound.
  std::uint32_t find(std::string_view key) const noexcept;

  /// Where a search for string i starts.
  std::size_t home(std::size_t i) const noexcept { return hash_bytes((*this)[i]) & mask_; }
  span<const std::uint32_t> slots() const noexcept { return {slots_, mask_ + 1}; }

  /// Throws corrupt_error unless all strings are UTF-8.
  void check_content(const char* name) const;
  /// Whether all strings are UTF-8, ascend strictly by their bytes, and are found in their slots.
  bool ascends_in_slots() const noexcept;

 private:
  const std::uint64_t* offsets_ = nullptr;
  const std::uint8_t* bytes_ = nullptr;
  const std::uint32_t* slots_ = nullptr;
  std::size_t size_ = 0, mask_ = 0;
};

/// Throws corrupt_error (with `name` as prefix) unless every string of (offsets, bytes) is UTF-8.
void check_utf8(span<const std::uint64_t> offsets, span<const std::uint8_t> bytes, const char* name);

/// Whether the offsets do not decrease, and stay below 2**63. The caller compares the first and the last one.
bool ascend(span<const std::uint64_t> offsets) noexcept;

/// Number of slots for `n` strings: a power of two, at most 3/4 full and never full.
std::size_t slot_count(std::size_t n) noexcept;

/// Puts entries 0 to n - 1 into the slots (zeros). `home(i)` is where a search for entry i starts, `equal(i, j)`
/// compares two. Returns kNotFound, or the number of the first entry that equals an earlier one.
template <class Home, class Equal>
std::uint32_t fill_slots(std::size_t n, span<std::uint32_t> slots, const Home& home, const Equal& equal) {
  constexpr std::size_t kBatch = 32;  // slots lie far apart: fetched together, not one after the other
  const std::size_t mask = slots.size - 1;
  std::size_t homes[kBatch];
  for (std::size_t begin = 0; begin < n; begin += kBatch) {
    const std::size_t end = begin + kBatch < n ? begin + kBatch : n;
    for (std::size_t i = begin; i < end; ++i) {
      homes[i - begin] = home(i) & mask;
      __builtin_prefetch(&slots[homes[i - begin]], 1);
    }
    for (std::size_t i = begin; i < end; ++i) {
      std::size_t at = homes[i - begin];
      for (; slots[at] != 0; at = (at + 1) & mask)
        if (equal(slots[at] - 1, i)) return static_cast<std::uint32_t>(i);
      slots[at] = static_cast<std::uint32_t>(i + 1);
    }
  }
  return kNotFound;
}

/// Fills the slots for the strings of (offsets, bytes). Returns kNotFound, or the number of the first string that
/// equals an earlier one.
std::uint32_t fill_slots(span<const std::uint64_t> offsets, span<const std::uint8_t> bytes,
                         span<std::uint32_t> slots) noexcept;

}  // namespace likewise::search
