// Steps 1 and 2 of the analysis: words of a text, and the cut of scripts that are written without spaces.
// One pass over valid UTF-8 without tables for ASCII letters and digits; about a nanosecond a byte.
#pragma once
#include <array>
#include <string_view>

#include "core/search/unicode.hpp"
#include "likewise/search/building.hpp"

namespace likewise::search::words {

enum Kind : std::uint8_t { kSeparator, kAlphanumeric, kBeyondAscii };

inline constexpr std::array<std::uint8_t, 256> kKinds = [] {
  std::array<std::uint8_t, 256> kinds{};
  for (unsigned c = 0; c < 256; ++c) {
    const bool digit = c >= '0' && c <= '9', upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z';
    kinds[c] = c >= 0x80 ? kBeyondAscii : digit || upper || lower ? kAlphanumeric : kSeparator;
  }
  return kinds;
}();

using Pointer = const unsigned char*;

inline constexpr char32_t kSoftHyphen = 0x00AD;

/// Emits the tokens of a run of unspaced characters, unit by unit. `emit(begin, end, ascii, han)`.
template <class Emit>
void emit_unspaced(Pointer begin, Pointer end, Cjk cjk, const Emit& emit) {
  using namespace unicode;
  if (cjk == Cjk::whole) {
    emit(begin, end, false, false);
    return;
  }
  const auto next_unit = [end](Pointer p, bool& han) {
    han = (classify(decode(p)) & kHan) != 0;
    while (p < end) {
      Pointer after = p;
      if ((classify(decode(after)) & kContinue) == 0) break;
      p = after;
    }
    return p;
  };
  Pointer unit = begin;
  bool han = false, next_han = false;
  Pointer next = next_unit(unit, han);
  while (unit < end) {
    if (cjk == Cjk::segmenter && han) {
      Pointer run = unit;
      while (next < end) {
        Pointer after = next_unit(next, next_han);
        if (!next_han) break;
        next = after;
      }
      emit(run, next, false, true);
      unit = next;
      if (next < end) next = next_unit(unit, han);
      continue;
    }
    // A run of units: one token where it is alone, else each with its successor.
    bool first = true;
    for (;;) {
      Pointer after = next < end ? next_unit(next, next_han) : next;
      const bool last = next == end || (cjk == Cjk::segmenter && next_han);
      if (cjk == Cjk::unigram_bigram || (first && last)) emit(unit, next, false, false);
      first = false;
      if (!last) emit(unit, after, false, false);
      unit = next;
      next = after;
      if (last) break;
    }
    han = next_han;
  }
}

/// Cuts a word where it changes between unspaced and other characters.
template <class Emit>
void emit_word(Pointer begin, Pointer end, Cjk cjk, const Emit& emit) {
  using namespace unicode;
  Pointer part = begin;
  bool unspaced = false, ascii = true;
  const auto flush = [&](Pointer here) {
    if (part == here) return;
    if (unspaced) {
      emit_unspaced(part, here, cjk, emit);
    } else {
      emit(part, here, ascii, false);
    }
    part = here;
    ascii = true;
  };
  for (Pointer p = begin; p < end;) {
    const Pointer here = p;
    const char32_t code = decode(p);
    const std::uint8_t flags = code < 0x80 ? std::uint8_t{kStart} : classify(code);
    // The marks and joiners behind an unspaced character belong to it, whatever their block.
    const bool joined = unspaced && (flags & kContinue) != 0 && code != kSoftHyphen;
    const bool now = joined || (flags & kUnspaced) != 0;
    if (now != unspaced) {
      flush(here);
      unspaced = now;
    }
    ascii = ascii && code < 0x80;
  }
  flush(end);
}

/// Calls emit(begin, end, ascii, han) for each token of `text` (valid UTF-8), in order. `ascii`: only ASCII letters
/// and digits. `han`: a run of Han characters that a segmenter has yet to cut.
template <class Emit>
void for_each(std::string_view text, Words words, Cjk cjk, const Emit& emit) {
  using namespace unicode;
  Pointer p = reinterpret_cast<Pointer>(text.data());
  const Pointer end = p + text.size();
  while (p < end) {
    const std::uint8_t kind = kKinds[*p];
    if (kind == kSeparator) {
      ++p;
      continue;
    }
    const Pointer begin = p;
    if (kind == kAlphanumeric) {
      do ++p;
      while (p < end && kKinds[*p] == kAlphanumeric);
      if (p == end || kKinds[*p] == kSeparator || words == Words::plain) {
        emit(begin, p, true, false);
        continue;
      }
    } else if (words == Words::plain) {
      ++p;
      continue;
    }
    // A word with characters beyond ASCII, or such a character that may start one.
    bool inside = p > begin;
    while (p < end) {
      Pointer after = p;
      const char32_t code = decode(after);
      const std::uint8_t flags =
          code < 0x80 ? std::uint8_t(kKinds[code] == kAlphanumeric ? kStart : 0) : classify(code);
      if ((flags & (inside ? kStart | kContinue : kStart)) == 0) {
        if (!inside) p = after;
        break;
      }
      inside = true;
      p = after;
    }
    if (inside) emit_word(begin, p, cjk, emit);
  }
}

}  // namespace likewise::search::words
