// The fast check of a sorted table agrees with the slow ones: on sound tables, and after every kind of small damage.
#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/search/keys.hpp"
#include "core/search/string_table.hpp"
#include "likewise/error.hpp"

using namespace likewise;
using namespace likewise::search;

namespace {

std::mt19937_64 random_bits(7);
std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_bits() % n); }

struct Arrays {
  std::vector<std::uint64_t> offsets{0};
  std::vector<std::uint8_t> bytes;
  std::vector<std::uint32_t> slots;
};

/// Distinct strings in order, with prefixes of up to 20 bytes in common, some of them of several bytes a character.
Arrays make(std::size_t n) {
  static const char* const pieces[] = {"a", "b", "z", "0", "\xC3\xA9", "\xE4\xB8\xAD", "\xF0\x9F\x98\x80", "wordword"};
  std::set<std::string> strings;
  while (strings.size() < n) {
    std::string text(below(4) == 0 ? 8 * below(3) + below(5) : 0, 'p');
    for (std::size_t length = below(7); length > 0; --length) text += pieces[below(8)];
    strings.insert(text);
  }
  Arrays a;
  for (const std::string& text : strings) {
    a.bytes.insert(a.bytes.end(), text.begin(), text.end());
    a.offsets.push_back(a.bytes.size());
  }
  a.slots.assign(slot_count(n), 0);
  CHECK(fill_slots(a.offsets, a.bytes, a.slots) == kNotFound);
  return a;
}

/// As the strings are now, so that nothing but themselves can be wrong. Equal ones get a slot each.
void refill(Arrays& a) {
  const std::size_t n = a.offsets.size() - 1;
  if (!ascend(a.offsets) || a.offsets[n] != a.bytes.size()) return;
  std::fill(a.slots.begin(), a.slots.end(), 0);
  const auto home = [&](std::size_t i) {
    const char* const text = reinterpret_cast<const char*>(a.bytes.data()) + a.offsets[i];
    return static_cast<std::size_t>(hash_bytes({text, static_cast<std::size_t>(a.offsets[i + 1] - a.offsets[i])}));
  };
  fill_slots(n, a.slots, home, [](std::size_t, std::size_t) { return false; });
}

bool refused(const Arrays& a, bool* found_by_fast_check) {
  StringTable table;
  try {
    table = StringTable(a.offsets, a.bytes, a.slots, "term");
  } catch (const corrupt_error&) {
    return false;  // nothing to compare
  }
  *found_by_fast_check = !table.ascends_in_slots();
  try {
    table.check_content("term");
    for (std::size_t i = 1; i < table.size(); ++i)
      if (table[i - 1].compare(table[i]) >= 0) return true;
    check_slots(table, "term", true);
  } catch (const corrupt_error&) {
    return true;
  }
  return false;
}

CASE(sound_tables) {
  for (const std::size_t n : {0, 1, 2, 3, 63, 64, 65, 128, 1000, 5000}) {
    bool bad = false;
    CHECK(!refused(make(n), &bad));
    CHECK(!bad);
  }
}

CASE(damage) {
  std::size_t n_bad = 0;
  for (std::size_t round = 0; round < 20000; ++round) {
    static Arrays sound;
    if (round % 200 == 0) sound = make(1 + below(300));
    Arrays a = sound;
    const std::size_t n = a.offsets.size() - 1;
    switch (below(5)) {
      case 0:
        if (!a.bytes.empty()) a.bytes[below(a.bytes.size())] = static_cast<std::uint8_t>(random_bits());
        if (below(2) == 0) refill(a);
        break;
      case 1:
        a.offsets[1 + below(n)] += 1;
        if (below(2) == 0) refill(a);
        break;
      case 2:  // a string becomes the one before it
        for (std::size_t i = 1 + below(n); i < n; ++i) {
          const auto before = a.bytes.begin() + static_cast<std::ptrdiff_t>(a.offsets[i - 1]);
          const auto length = static_cast<std::ptrdiff_t>(a.offsets[i] - a.offsets[i - 1]);
          if (a.offsets[i + 1] - a.offsets[i] != a.offsets[i] - a.offsets[i - 1]) continue;
          std::copy(before, before + length, before + length);
          refill(a);
          break;
        }
        break;
      case 3: std::swap(a.slots[below(a.slots.size())], a.slots[below(a.slots.size())]); break;
      default: a.slots[below(a.slots.size())] = static_cast<std::uint32_t>(below(n + 1));
    }
    bool bad = false;
    const bool expected = refused(a, &bad);
    CHECK(bad == expected);
    n_bad += expected;
  }
  CHECK(n_bad > 5000);
}

}  // namespace
