// The keys that users give to documents (strings or integers), and other lists of strings that are stored beside an
// index. All are plain arrays, searched where they lie, in memory or in a mapped file.
#pragma once
#include <cstdint>
#include <string_view>

#include "core/search/string_table.hpp"
#include "likewise/span.hpp"

namespace likewise::search {

/// Strings by number: string i is bytes[offsets[i], offsets[i+1]).
class StringList {
 public:
  /// Throws corrupt_error (with `name` as prefix of the array's name) unless there are `size` strings inside the bytes.
  StringList(span<const std::uint64_t> offsets, span<const std::uint8_t> bytes, std::size_t size, const char* name);

  std::size_t size() const noexcept { return offsets_.size - 1; }
  std::string_view operator[](std::size_t i) const noexcept {
    return {reinterpret_cast<const char*>(bytes_.data) + offsets_[i],
            static_cast<std::size_t>(offsets_[i + 1] - offsets_[i])};
  }
  /// Throws corrupt_error unless every string is UTF-8.
  void check_content(const char* name) const;

 private:
  span<const std::uint64_t> offsets_;
  span<const std::uint8_t> bytes_;
};

/// Distinct integers by number, found by value through a hash table of 32-bit slots (i + 1, or 0 where empty).
class IntegerTable {
 public:
  /// Throws corrupt_error (with `name` as prefix of the array's name) unless every look-up stays inside the arrays.
  IntegerTable(span<const std::int64_t> values, span<const std::uint32_t> slots, const char* name);

  std::size_t size() const noexcept { return values_.size; }
  std::int64_t operator[](std::size_t i) const noexcept { return values_[i]; }
  /// The number of the value, or kNotFound.
  std::uint32_t find(std::int64_t value) const noexcept;

  /// Where a search for entry i starts.
  std::size_t home(std::size_t i) const noexcept;
  span<const std::uint32_t> slots() const noexcept { return slots_; }

 private:
  span<const std::int64_t> values_;
  span<const std::uint32_t> slots_;
};

/// Fills the slots (slot_count(values.size) zeros) for the values. Returns kNotFound, or the number of the first value
/// that equals an earlier one.
std::uint32_t fill_slots(span<const std::int64_t> values, span<std::uint32_t> slots) noexcept;

/// Throws corrupt_error (with `name` as prefix) unless every entry has the slot where a search finds it. With
/// `distinct`, unless no two entries are equal, too; entries that ascend are so already.
void check_slots(const IntegerTable& table, const char* name);
void check_slots(const StringTable& table, const char* name, bool distinct);

}  // namespace likewise::search
