// Character classes and normalisation, from generated tables of one Unicode version.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace likewise::search::unicode {

/// The version of the tables, e.g. "14.0.0".
const char* version() noexcept;

// Bits of a code point's class.
inline constexpr std::uint8_t kStart = 1;      // L*, N*: starts a word
inline constexpr std::uint8_t kContinue = 2;   // M*, U+200C, U+200D, U+00AD: continues one
inline constexpr std::uint8_t kUnspaced = 4;   // scripts written without spaces
inline constexpr std::uint8_t kHan = 8;        // those that a Chinese word segmenter reads
inline constexpr std::uint8_t kInert = 16;     // no normalisation or folding changes it, wherever it stands

std::uint8_t classify(char32_t code) noexcept;

/// Reads one code point of valid UTF-8 and moves `p` behind it.
inline char32_t decode(const unsigned char*& p) noexcept {
  const char32_t first = *p++;
  if (first < 0x80) return first;
  if (first < 0xE0) return (first & 0x1F) << 6 | (*p++ & 0x3Fu);
  char32_t code = (first < 0xF0 ? first & 0x0F : first & 0x07) << 6 | (*p++ & 0x3Fu);
  code = code << 6 | (*p++ & 0x3Fu);
  return first < 0xF0 ? code : code << 6 | (*p++ & 0x3Fu);
}

void append_utf8(std::string& out, char32_t code);

std::size_t count_code_points(std::string_view text) noexcept;

/// Bytes of `text` before the first that is not part of valid UTF-8 (its size, if all is valid).
std::size_t valid_prefix(std::string_view text) noexcept;

/// Normalisation form KC, in place.
void nfkc(std::u32string& text);

/// Full case folding (context-free), in place.
void casefold(std::u32string& text);

/// The form of a word (valid UTF-8): U+200C, U+200D, U+00AD removed, then NFKC(casefold(NFKC(x))) or, without folding,
/// NFKC(x).
std::string form(std::string_view word, bool fold);

}  // namespace likewise::search::unicode
