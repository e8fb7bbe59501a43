// Known answers of Random123 (kat_vectors), and the layout of words that seeds promise.
#include "check.hpp"
#include "core/philox.hpp"

using likewise::Philox;
using likewise::philox4x32;
using likewise::PhiloxBlock;

CASE(known_answers) {
  CHECK((philox4x32({0, 0, 0, 0}, {0, 0}) == PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const std::uint32_t ones = 0xffffffff;
  CHECK((philox4x32({ones, ones, ones, ones}, {ones, ones}) ==
         PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  CHECK((philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
         PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

CASE(words_of_a_seed) {
  const Philox seven(7);
  CHECK((seven.block(1, 0, 0) == PhiloxBlock{0xd6a62573, 0x71eade72, 0x3ac9655a, 0x2affc9a4}));
  CHECK((seven.block(2, 0, 0) == PhiloxBlock{0x36500fee, 0xc9492745, 0x138a91f3, 0x6aa2e535}));
  for (std::uint64_t t = 0; t < 4; ++t) CHECK(seven.word(1, 0, t) == seven.block(1, 0, 0)[t]);
  CHECK(seven.word(1, 0, 9) == seven.block(1, 0, 2)[1]);
  // All 64 bits of the seed and of i count.
  CHECK(Philox(7 + (std::uint64_t{1} << 32)).word(1, 0, 0) != seven.word(1, 0, 0));
  CHECK(seven.word(1, std::uint64_t{1} << 32, 0) != seven.word(1, 0, 0));
  CHECK((seven.block(3, 0x0000000500000006, 9) == philox4x32({6, 5, 9, 3}, {7, 0})));
}

CASE(uniforms) {
  const Philox seven(7);
  const std::uint64_t first = 0x71eade72d6a62573 >> 11;
  CHECK(seven.uniform(1, 0, 0) == static_cast<double>(first) / 9007199254740992.0);
  double sum = 0, least = 1, largest = 0;
  const int n = 100000;
  for (int t = 0; t < n; ++t) {
    const double u = seven.uniform(1, 5, static_cast<std::uint64_t>(t));
    CHECK(u >= 0 && u < 1);
    sum += u;
    least = u < least ? u : least;
    largest = u > largest ? u : largest;
  }
  CHECK(sum / n > 0.497 && sum / n < 0.503);  // three standard deviations
  CHECK(least < 1e-3 && largest > 1 - 1e-3);
}
