#include "core/search/string_table.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "likewise/error.hpp"

namespace likewise::search {
namespace {

std::uint64_t mix(std::uint64_t x) noexcept {
  x ^= x >> 32;
  x *= 0xD6E8FEB86659FD93ull;
  x ^= x >> 32;
  return x;
}

/// The last 1 to 7 bytes as a little-endian number. Overlapping loads: a memcpy of variable length would be a call.
std::uint64_t load_tail(const char* p, std::size_t n) noexcept {
  if (n >= 4) {
    std::uint32_t first, last;
    std::memcpy(&first, p, 4);
    std::memcpy(&last, p + n - 4, 4);
    return first | static_cast<std::uint64_t>(last) << (8 * (n - 4));
  }
  const auto byte = [p](std::size_t i) {
    return static_cast<std::uint64_t>(static_cast<unsigned char>(p[i])) << (8 * i);
  };
  return byte(0) | byte(n / 2) | byte(n - 1);
}

/// Length of the valid UTF-8 sequence at p (1 to 4), or 0. No overlong forms, no surrogates, nothing past U+10FFFF.
std::size_t utf8_length(const std::uint8_t* p, const std::uint8_t* end) noexcept {
  const auto tail = [&](std::size_t n) {
    for (std::size_t i = 1; i <= n; ++i)
      if (p + i >= end || (p[i] & 0xC0u) != 0x80u) return false;
    return true;
  };
  const std::uint8_t c = p[0];
  if (c < 0x80) return 1;
  if (c >= 0xC2 && c <= 0xDF) return tail(1) ? 2 : 0;
  if (c >= 0xE0 && c <= 0xEF)
    return tail(2) && (c != 0xE0 || p[1] >= 0xA0) && (c != 0xED || p[1] < 0xA0) ? 3 : 0;
  if (c >= 0xF0 && c <= 0xF4)
    return tail(3) && (c != 0xF0 || p[1] >= 0x90) && (c != 0xF4 || p[1] < 0x90) ? 4 : 0;
  return 0;
}

bool is_utf8(const std::uint8_t* p, const std::uint8_t* end) noexcept {
  constexpr std::ptrdiff_t kStep = 64;
  while (p < end) {
    std::uint64_t words[kStep / 8] = {}, seen = 0;
    if (end - p >= kStep) {
      std::memcpy(words, p, kStep);
      for (const std::uint64_t word : words) seen |= word;
      if ((seen & 0x8080808080808080ull) == 0) {
        p += kStep;
        continue;
      }
    }
    // At least one of the next bytes is none of ASCII's, or they are the last ones.
    for (const std::uint8_t* const stop = end - p >= kStep ? p + kStep : end; p < stop;) {
      if (end - p >= 8 && (std::memcpy(words, p, 8), (words[0] & 0x8080808080808080ull) == 0)) {
        p += 8;
        continue;
      }
      const std::size_t length = utf8_length(p, end);
      if (length == 0) return false;
      p += length;
    }
  }
  return true;
}

constexpr std::uint64_t kGamma = 0x9E3779B97F4A7C15ull;

std::uint64_t start_hash(std::size_t n) noexcept { return kGamma ^ (n * 0xFF51AFD7ED558CCDull); }

/// The first 16 bytes of a string, zeros behind its end, as little-endian numbers.
struct Front {
  std::uint64_t first, second;
};

/// Of a string of at most 16 bytes with 16 readable ones. Without a branch: lengths cannot be predicted.
Front load_front(const std::uint8_t* p, std::size_t n) noexcept {
  static constexpr std::uint64_t kOnes[] = {0, 0xFF, 0xFFFF, 0xFFFFFF, 0xFFFFFFFF, 0xFFFFFFFFFF, 0xFFFFFFFFFFFF,
                                            0xFFFFFFFFFFFFFF, ~std::uint64_t{0}};
  Front front;
  std::memcpy(&front, p, sizeof front);
  front.first &= kOnes[std::min<std::size_t>(n, 8)];
  front.second &= kOnes[n - std::min<std::size_t>(n, 8)];
  return front;
}

/// hash_bytes of a string of 1 to 16 bytes.
std::uint64_t hash_front(Front front, std::size_t n) noexcept {
  const std::uint64_t one = mix(start_hash(n) ^ front.first) + (n >= 8 ? kGamma : 0);
  const std::uint64_t two = mix(one ^ front.second) + (n == 16 ? kGamma : 0);
  return mix(n > 8 ? two : one);
}

}  // namespace

std::uint64_t hash_bytes(std::string_view bytes) noexcept {
  const char* p = bytes.data();
  std::size_t n = bytes.size();
  std::uint64_t h = start_hash(n);
  for (; n >= 8; p += 8, n -= 8) {
    std::uint64_t word;
    std::memcpy(&word, p, 8);
    h = mix(h ^ word) + kGamma;
  }
  if (n > 0) h = mix(h ^ load_tail(p, n));
  return mix(h);
}

bool ascend(span<const std::uint64_t> offsets) noexcept {
  // The sign bit of a difference of two numbers below 2**63 tells that it is negative. Simple enough for vectors.
  std::uint64_t signs = offsets.empty() ? 0 : offsets[0];
  for (std::size_t i = 1; i < offsets.size; ++i) signs |= offsets[i] | (offsets[i] - offsets[i - 1]);
  return signs >> 63 == 0;
}

std::size_t slot_count(std::size_t n) noexcept {
  std::size_t count = 4;
  while (count < n + n / 3 + 1) count *= 2;
  return count;
}

StringTable::StringTable(span<const std::uint64_t> offsets, span<const std::uint8_t> bytes,
                         span<const std::uint32_t> slots, const char* name)
    : offsets_(offsets.data), bytes_(bytes.data), slots_(slots.data) {
  const std::string prefix = name;
  if (offsets.empty() || offsets[0] != 0 || offsets[offsets.size - 1] != bytes.size)
    throw corrupt_error(prefix + "_offsets", "expected offsets from 0 to the number of bytes");
  size_ = offsets.size - 1;
  if (!ascend(offsets)) throw corrupt_error(prefix + "_offsets", "expected offsets that do not decrease");
  if (size_ >= kNotFound - 1) throw corrupt_error(prefix + "_offsets", "expected fewer than 2**32 - 2 strings");
  if (slots.size != slot_count(size_))
    throw corrupt_error(prefix + "_slots", "expected " + std::to_string(slot_count(size_)) + " slots");
  mask_ = slots.size - 1;
  constexpr std::size_t kStep = 1 << 16;  // so that 32 bits hold the counts, which makes the vectors twice as long
  const auto last = static_cast<std::uint32_t>(size_);
  std::uint64_t beyond = 0, used = 0;
  for (std::size_t at = 0; at < slots.size; at += kStep) {
    std::uint32_t too_large = 0, not_empty = 0;
    for (std::size_t i = at; i < std::min(at + kStep, slots.size); ++i) {
      too_large += slots[i] > last;
      not_empty += slots[i] != 0;
    }
    beyond += too_large;
    used += not_empty;
  }
  if (beyond != 0) throw corrupt_error(prefix + "_slots", "expected slots that name a string");
  // One empty slot at least, so that a search for an unknown string ends.
  if (used != size_) throw corrupt_error(prefix + "_slots", "expected one used slot a string");
}

std::uint32_t StringTable::find(std::string_view key) const noexcept {
  if (size_ == 0) return kNotFound;
  for (std::size_t at = hash_bytes(key) & mask_;; at = (at + 1) & mask_) {
    const std::uint32_t slot = slots_[at];
    if (slot == 0) return kNotFound;
    if ((*this)[slot - 1] == key) return slot - 1;
  }
}

void check_utf8(span<const std::uint64_t> offsets, span<const std::uint8_t> bytes, const char* name) {
  const std::string prefix = name;
  if (!is_utf8(bytes.data, bytes.data + bytes.size)) throw corrupt_error(prefix + "_bytes", "expected UTF-8");
  for (std::size_t i = 0; i + 1 < offsets.size; ++i)
    if (offsets[i] < bytes.size && (bytes[static_cast<std::size_t>(offsets[i])] & 0xC0u) == 0x80u)
      throw corrupt_error(prefix + "_offsets", "expected offsets between characters, string " + std::to_string(i));
}

void StringTable::check_content(const char* name) const {
  check_utf8({offsets_, size_ + 1}, {bytes_, static_cast<std::size_t>(offsets_[size_])}, name);
}

bool StringTable::ascends_in_slots() const noexcept {
  constexpr std::size_t kBatch = 64;  // slots lie far apart: fetched together, not one after the other
  const auto n_bytes = static_cast<std::size_t>(offsets_[size_]);
  std::size_t places[kBatch];
  std::uint32_t wanted[kBatch];
  std::uint64_t before[2] = {0, 0};  // the string before, as far as it is compared here
  for (std::size_t begin = 0; begin < size_; begin += kBatch) {
    std::size_t n_wanted = std::min(kBatch, size_ - begin);
    for (std::size_t j = 0; j < n_wanted; ++j) {
      const std::size_t i = begin + j, at = static_cast<std::size_t>(offsets_[i]);
      const auto n = static_cast<std::size_t>(offsets_[i + 1]) - at;
      Front front = {0, 0};
      std::uint64_t hash = 0;
      if (n - 1 < 16 && n_bytes - at >= 16) {
        front = load_front(bytes_ + at, n);
        hash = hash_front(front, n);
      } else {
        if (n > 0) std::memcpy(&front, bytes_ + at, std::min<std::size_t>(n, sizeof front));
        hash = hash_bytes((*this)[i]);
      }
      if (n > 0 && (front.first & 0xC0) == 0x80) return false;  // it begins inside a character
      // Big-endian numbers compare as the bytes do.
      const std::uint64_t now[2] = {__builtin_bswap64(front.first), __builtin_bswap64(front.second)};
      const bool less = before[0] < now[0] || (before[0] == now[0] && before[1] < now[1]);
      if (!less && i > 0 && (*this)[i - 1].compare((*this)[i]) >= 0) return false;
      before[0] = now[0];
      before[1] = now[1];
      places[j] = static_cast<std::size_t>(hash) & mask_;
      wanted[j] = static_cast<std::uint32_t>(i + 1);
      __builtin_prefetch(&slots_[places[j]]);
    }
    // Each round moves those that did not find their slot one slot on. Whether they did cannot be predicted either.
    while (n_wanted > 0) {
      std::size_t n_left = 0, n_empty = 0;
      for (std::size_t j = 0; j < n_wanted; ++j) {
        const std::uint32_t slot = slots_[places[j]], want = wanted[j];
        n_empty += slot == 0;
        places[n_left] = (places[j] + 1) & mask_;
        wanted[n_left] = want;
        n_left += slot != want;
      }
      if (n_empty > 0) return false;
      n_wanted = n_left;
    }
  }
  return is_utf8(bytes_, bytes_ + n_bytes);
}

std::uint32_t fill_slots(span<const std::uint64_t> offsets, span<const std::uint8_t> bytes,
                         span<std::uint32_t> slots) noexcept {
  const auto string = [&](std::size_t i) {
    return std::string_view(reinterpret_cast<const char*>(bytes.data) + offsets[i],
                            static_cast<std::size_t>(offsets[i + 1] - offsets[i]));
  };
  return fill_slots(
      offsets.size - 1, slots, [&](std::size_t i) { return static_cast<std::size_t>(hash_bytes(string(i))); },
      [&](std::size_t i, std::size_t j) { return string(i) == string(j); });
}

}  // namespace likewise::search
