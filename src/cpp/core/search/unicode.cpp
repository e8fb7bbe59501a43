#include "core/search/unicode.hpp"

#include <algorithm>
#include <cstring>

namespace likewise::search::unicode {
namespace {

#include "core/search/unicode_tables.inc"

constexpr std::size_t kBlock = 128;

// Hangul syllables are composed by arithmetic (The Unicode Standard, section 3.12).
constexpr char32_t kSyllable = 0xAC00, kLeading = 0x1100, kVowel = 0x1161, kTrailing = 0x11A7;
constexpr char32_t kLeadings = 19, kVowels = 21, kTrailings = 28, kSyllables = kLeadings * kVowels * kTrailings;

template <class Block, class Value>
Value look_up(const Block* blocks, const Value* values, char32_t code) noexcept {
  return values[blocks[code / kBlock] * kBlock + code % kBlock];
}

std::uint8_t combining_class(char32_t code) noexcept { return look_up(kCombiningBlocks, kCombiningValues, code); }

void append_decomposed(std::u32string& out, char32_t code) {
  if (code - kSyllable < kSyllables) {
    const char32_t i = code - kSyllable;
    out += static_cast<char32_t>(kLeading + i / (kVowels * kTrailings));
    out += kVowel + i / kTrailings % kVowels;
    if (i % kTrailings != 0) out += kTrailing + i % kTrailings;
    return;
  }
  const std::uint16_t place = look_up(kDecompositionBlocks, kDecompositionValues, code);
  if (place == 0) {
    out += code;
  } else {
    out.append(kDecompositionPool + place + 1, kDecompositionPool[place]);
  }
}

/// The primary composite of two characters, or 0.
char32_t composed(char32_t first, char32_t second) noexcept {
  if (first - kLeading < kLeadings && second - kVowel < kVowels) {
    return kSyllable + ((first - kLeading) * kVowels + (second - kVowel)) * kTrailings;
  }
  if (first - kSyllable < kSyllables && (first - kSyllable) % kTrailings == 0 && second > kTrailing &&
      second < kTrailing + kTrailings) {
    return first + (second - kTrailing);
  }
  std::size_t low = 0, high = sizeof(kCompositions) / sizeof(char32_t) / 3;
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    const char32_t* triple = kCompositions + 3 * middle;
    if (triple[0] == first && triple[1] == second) return triple[2];
    if (triple[0] < first || (triple[0] == first && triple[1] < second)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return 0;
}

void order_marks(std::u32string& text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (combining_class(text[i]) == 0) continue;
    std::size_t end = i + 1;
    while (end < text.size() && combining_class(text[end]) != 0) ++end;
    std::stable_sort(text.begin() + static_cast<std::ptrdiff_t>(i), text.begin() + static_cast<std::ptrdiff_t>(end),
                     [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); });
    i = end;
  }
}

void compose(std::u32string& text) {
  constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::size_t starter = kNone, size = 0;
  for (const char32_t code : text) {
    const std::uint8_t rank = combining_class(code);
    // Blocked: something between the starter and this character has the same or a higher class, or is a starter.
    const bool adjacent = starter != kNone && size == starter + 1;
    const bool blocked = !adjacent && size > 0 && (combining_class(text[size - 1]) >= rank || rank == 0);
    if (starter != kNone && !blocked) {
      if (const char32_t both = composed(text[starter], code); both != 0) {
        text[starter] = both;
        continue;
      }
    }
    if (rank == 0) starter = size;
    text[size++] = code;
  }
  text.resize(size);
}

}  // namespace

const char* version() noexcept { return kVersion; }

std::uint8_t classify(char32_t code) noexcept { return look_up(kClassBlocks, kClassValues, code); }

void append_utf8(std::string& out, char32_t code) {
  const auto byte = [&](char32_t value) { out += static_cast<char>(static_cast<unsigned char>(value)); };
  if (code < 0x80) {
    byte(code);
  } else if (code < 0x800) {
    byte(0xC0 | code >> 6);
    byte(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    byte(0xE0 | code >> 12);
    byte(0x80 | (code >> 6 & 0x3F));
    byte(0x80 | (code & 0x3F));
  } else {
    byte(0xF0 | code >> 18);
    byte(0x80 | (code >> 12 & 0x3F));
    byte(0x80 | (code >> 6 & 0x3F));
    byte(0x80 | (code & 0x3F));
  }
}

std::size_t count_code_points(std::string_view text) noexcept {
  std::size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

std::size_t valid_prefix(std::string_view text) noexcept {
  const auto* const begin = reinterpret_cast<const unsigned char*>(text.data());
  const unsigned char* const end = begin + text.size();
  const unsigned char* p = begin;
  const auto tail = [](unsigned char byte) { return (byte & 0xC0) == 0x80; };
  constexpr std::ptrdiff_t kStep = 32;
  constexpr std::uint64_t kHigh = 0x8080808080808080u;
  const auto is_ascii = [](const unsigned char* at) {
    std::uint64_t words[kStep / 8];
    std::memcpy(words, at, kStep);
    return ((words[0] | words[1] | words[2] | words[3]) & kHigh) == 0;
  };
  while (p < end) {
    if (end - p >= kStep) {
      if (is_ascii(p)) {
        p += kStep;
        continue;
      }
    } else if (end - begin >= kStep && is_ascii(end - kStep)) {  // the last bytes at once, with some seen before
      return text.size();
    }
    if (end - p >= 8) {
      std::uint64_t word;
      std::memcpy(&word, p, 8);
      word &= kHigh;
      if (word == 0) {
        p += 8;
        continue;
      }
      p += __builtin_ctzll(word) / 8;
    } else if (*p < 0x80) {
      ++p;
      continue;
    }
    const unsigned char first = *p;
    const auto left = static_cast<std::size_t>(end - p);
    if (first >= 0xC2 && first < 0xE0) {
      if (left < 2 || !tail(p[1])) break;
      p += 2;
    } else if (first >= 0xE0 && first < 0xF0) {
      if (left < 3 || !tail(p[1]) || !tail(p[2])) break;
      if ((first == 0xE0 && p[1] < 0xA0) || (first == 0xED && p[1] >= 0xA0)) break;  // too long, surrogate
      p += 3;
    } else if (first >= 0xF0 && first < 0xF5) {
      if (left < 4 || !tail(p[1]) || !tail(p[2]) || !tail(p[3])) break;
      if ((first == 0xF0 && p[1] < 0x90) || (first == 0xF4 && p[1] >= 0x90)) break;  // too long, beyond 10FFFF
      p += 4;
    } else {
      break;
    }
  }
  return static_cast<std::size_t>(p - begin);
}

void nfkc(std::u32string& text) {
  std::u32string decomposed;
  decomposed.reserve(text.size());
  for (const char32_t code : text) append_decomposed(decomposed, code);
  order_marks(decomposed);
  compose(decomposed);
  text = std::move(decomposed);
}

void casefold(std::u32string& text) {
  std::u32string folded;
  folded.reserve(text.size());
  for (const char32_t code : text) {
    const std::uint16_t place = look_up(kFoldBlocks, kFoldValues, code);
    if (place == 0) {
      folded += code;
    } else {
      folded.append(kFoldPool + place + 1, kFoldPool[place]);
    }
  }
  text = std::move(folded);
}

std::string form(std::string_view word, bool fold) {
  if (std::all_of(word.begin(), word.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; })) {
    std::string ascii(word);
    if (fold)
      for (char& c : ascii) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    return ascii;
  }
  std::u32string codes;
  codes.reserve(word.size());
  bool inert = true;
  const auto* p = reinterpret_cast<const unsigned char*>(word.data());
  const unsigned char* const end = p + word.size();
  while (p < end) {
    const char32_t code = decode(p);
    inert = inert && (classify(code) & kInert) != 0;
    if (code != 0x200C && code != 0x200D && code != 0x00AD) codes += code;
  }
  if (inert) return std::string(word);
  nfkc(codes);
  if (fold) {
    casefold(codes);
    nfkc(codes);
  }
  std::string out;
  out.reserve(word.size());
  for (const char32_t code : codes) append_utf8(out, code);
  return out;
}

}  // namespace likewise::search::unicode
