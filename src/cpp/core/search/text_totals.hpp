// What handing documents over costs, without their analysis: every byte is read, as a scan does. For tests and
// benchmarks.
#pragma once
#include <cstdint>
#include <cstring>
#include <string_view>

#include "likewise/span.hpp"

namespace likewise::search {

struct TextTotals {
  std::uint64_t n_texts = 0, n_bytes = 0;
  std::uint64_t sum = 0;  // of the words of eight bytes of each text, the last one filled up with zeros

  void add(span<const std::string_view> texts) noexcept {
    for (const std::string_view text : texts) {
      const char* p = text.data();
      std::size_t n = text.size();
      std::uint64_t word = 0;
      for (; n >= 8; p += 8, n -= 8) {
        std::memcpy(&word, p, 8);
        sum += word;
      }
      word = 0;
      if (n > 0) std::memcpy(&word, p, n);
      sum += word;
      n_bytes += text.size();
    }
    n_texts += texts.size;
  }
};

}  // namespace likewise::search
