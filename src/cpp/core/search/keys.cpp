#include "core/search/keys.hpp"

#include <algorithm>
#include <string>

#include "likewise/error.hpp"

namespace likewise::search {
namespace {

// Stored in files: it must never change. (The finaliser of splitmix64.)
std::uint64_t hash_integer(std::int64_t value) noexcept {
  std::uint64_t x = static_cast<std::uint64_t>(value);
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

template <class Table>
void check_each(const Table& table, const char* name, bool distinct) {
  constexpr std::size_t kBatch = 32;  // slots lie far apart: fetched together, not one after the other
  const span<const std::uint32_t> slots = table.slots();
  const std::size_t mask = slots.size - 1;
  std::size_t homes[kBatch];
  for (std::size_t begin = 0; begin < table.size(); begin += kBatch) {
    const std::size_t n = std::min(kBatch, table.size() - begin);
    for (std::size_t i = 0; i < n; ++i) {
      homes[i] = table.home(begin + i);
      __builtin_prefetch(&slots[homes[i]]);
    }
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t at = homes[i]; slots[at] != begin + i + 1; at = (at + 1) & mask)
        if (slots[at] == 0 || (distinct && table[slots[at] - 1] == table[begin + i]))
          throw corrupt_error(std::string(name) + "_slots",
                              "expected distinct entries in their slots, entry " + std::to_string(begin + i));
  }
}

}  // namespace

StringList::StringList(span<const std::uint64_t> offsets, span<const std::uint8_t> bytes, std::size_t size,
                       const char* name)
    : offsets_(offsets), bytes_(bytes) {
  const std::string array = std::string(name) + "_offsets";
  if (offsets.size != size + 1) throw corrupt_error(array, "expected " + std::to_string(size + 1) + " offsets");
  if (offsets[0] != 0 || offsets[size] != bytes.size)
    throw corrupt_error(array, "expected offsets from 0 to the number of bytes");
  if (!ascend(offsets)) throw corrupt_error(array, "expected offsets that do not decrease");
}

void StringList::check_content(const char* name) const {
  check_utf8(offsets_, bytes_, name);
}

IntegerTable::IntegerTable(span<const std::int64_t> values, span<const std::uint32_t> slots, const char* name)
    : values_(values), slots_(slots) {
  const std::string prefix = name;
  if (values.size >= kNotFound - 1) throw corrupt_error(prefix + "_values", "expected fewer than 2**32 - 2 integers");
  if (slots.size != slot_count(values.size))
    throw corrupt_error(prefix + "_slots", "expected " + std::to_string(slot_count(values.size)) + " slots");
  std::uint64_t beyond = 0, used = 0;
  for (std::size_t i = 0; i < slots.size; ++i) {
    beyond += slots[i] > values.size;
    used += slots[i] != 0;
  }
  if (beyond != 0) throw corrupt_error(prefix + "_slots", "expected slots that name an entry");
  // One empty slot at least, so that a search for an unknown value ends.
  if (used != values.size) throw corrupt_error(prefix + "_slots", "expected one used slot an entry");
}

std::uint32_t IntegerTable::find(std::int64_t value) const noexcept {
  const std::size_t mask = slots_.size - 1;
  for (std::size_t at = hash_integer(value) & mask;; at = (at + 1) & mask) {
    const std::uint32_t slot = slots_[at];
    if (slot == 0) return kNotFound;
    if (values_[slot - 1] == value) return slot - 1;
  }
}

std::uint32_t fill_slots(span<const std::int64_t> values, span<std::uint32_t> slots) noexcept {
  return fill_slots(
      values.size, slots, [&](std::size_t i) { return static_cast<std::size_t>(hash_integer(values[i])); },
      [&](std::size_t i, std::size_t j) { return values[i] == values[j]; });
}

std::size_t IntegerTable::home(std::size_t i) const noexcept { return hash_integer(values_[i]) & (slots_.size - 1); }

void check_slots(const IntegerTable& table, const char* name) { check_each(table, name, true); }
void check_slots(const StringTable& table, const char* name, bool distinct) { check_each(table, name, distinct); }

}  // namespace likewise::search
