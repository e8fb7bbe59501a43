// Fuzzing of the wall before the index: arrays -> validate -> queries. An input is refused with corrupt_error, or
// answers queries that agree with a slow reader of the same arrays; anything else (a sanitizer's report, another
// exception, a difference) is a finding.
//
// Mutation is structure-aware: it starts from a sound segment and changes a few entries or lengths. Built by g++ this
// is a program of its own:   fuzz_segment [--seconds S] [--seed N] [--keep] [FILE...]   (files are replayed, then
// random mutation; --keep writes each mutant to fuzz_segment.last before it runs); with clang and -DLIKEWISE_LIBFUZZER
// it is a libFuzzer target with the same mutator.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "driver.hpp"
#include "likewise/search.hpp"

using namespace likewise;
using namespace likewise::search;

namespace {

using Bytes = std::vector<std::uint8_t>;
using fuzz::finding;
using fuzz::Random;

/// The arrays of a segment as bytes, in the order of for_each_array.
struct Input {
  static constexpr std::size_t kArrays = 9;
  /// Bytes of an entry of array i.
  static std::size_t item(std::size_t i) {
    std::size_t size = 0, at = 0;
    SegmentArrays none;
    for_each_array([&](const char*, const auto& a) { size = at++ == i ? sizeof(*a.data) : size; }, none);
    return size;
  }
  std::array<Bytes, kArrays> arrays;
  std::uint8_t options = 0;  // bit 0: full check, bits 1-3: variant

  Bytes serialise() const {
    Bytes out{options};
    for (const Bytes& a : arrays) {
      const auto size = static_cast<std::uint32_t>(a.size());
      for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<std::uint8_t>(size >> shift));
      out.insert(out.end(), a.begin(), a.end());
    }
    return out;
  }
  static bool parse(const std::uint8_t* data, std::size_t size, Input& input) {
    if (size < 1) return false;
    input.options = data[0];
    std::size_t at = 1;
    for (std::size_t i = 0; i < kArrays; ++i) {
      if (size - at < 4) return false;
      std::uint32_t length = 0;
      for (std::size_t b = 0; b < 4; ++b) length |= static_cast<std::uint32_t>(data[at + b]) << (8 * b);
      at += 4;
      if (length > size - at) return false;
      input.arrays[i].assign(data + at, data + at + length - length % item(i));
      at += length;
    }
    return true;
  }
};

/// Views of entries in memory of exactly their size, so that a sanitizer sees the first byte behind them.
struct Owner : SegmentArrays {
  std::array<std::unique_ptr<std::uint8_t[]>, Input::kArrays> memory;
  explicit Owner(const Input& in) {
    std::size_t i = 0;
    const auto fill = [&](const char*, auto& view) {
      const Bytes& bytes = in.arrays.at(i);
      memory[i].reset(new std::uint8_t[bytes.size()]);
      std::copy(bytes.begin(), bytes.end(), memory[i].get());
      using Span = std::remove_reference_t<decltype(view)>;
      view = Span{reinterpret_cast<decltype(view.data)>(memory[i].get()), bytes.size() / sizeof(*view.data)};
      ++i;
    };
    for_each_array(fill, static_cast<SegmentArrays&>(*this));
  }
};

std::uint32_t frequency_of(const Owner& o, std::uint64_t posting) {
  if (o.posting_frequencies.data[posting] < 255) return o.posting_frequencies.data[posting];
  for (std::size_t i = 0; i < o.large_positions.size; ++i)
    if (o.large_positions.data[i] == posting) return o.large_frequencies.data[i];
  finding("a frequency of 255 without its entry was accepted");
}

/// What the formula (lucene) says, by plain loops in double.
std::vector<double> slow_scores(const Owner& o, const Query& query) {
  const auto n = static_cast<double>(o.document_lengths.size);
  double total = 0;
  for (std::size_t d = 0; d < o.document_lengths.size; ++d) total += o.document_lengths.data[d];
  const double average = total / n;
  std::vector<double> scores(o.document_lengths.size);
  for (std::size_t i = 0; i < query.terms.size(); ++i) {
    const std::uint64_t begin = o.posting_offsets.data[query.terms[i]],
                        end = o.posting_offsets.data[query.terms[i] + 1];
    const auto df = static_cast<double>(end - begin);
    const double idf = std::log(1 + (n - df + 0.5) / (df + 0.5));
    for (std::uint64_t p = begin; p < end; ++p) {
      const std::uint32_t d = o.posting_documents.data[p];
      const double tf = frequency_of(o, p), length = o.document_lengths.data[d];
      scores[d] += query.weights[i] * idf * tf / (tf + 1.2 * (1 - 0.75 + 0.75 * (average > 0 ? length / average : 0)));
    }
  }
  return scores;
}

bool close(double a, double b) { return std::fabs(a - b) <= 1e-9 * std::max(std::fabs(a), std::fabs(b)) + 1e-300; }

/// Queries that touch everything. Throws corrupt_error where a lazy check refuses.
void use(const Index& index, const Owner& owner, bool compare) {
  const std::size_t n_docs = owner.document_lengths.size;
  const auto n_terms = static_cast<std::uint32_t>(index.statistics().n_terms);
  Query query;
  for (std::uint32_t t = 0; t < n_terms; ++t) {
    index.find_term(index.term(t));
    index.document_frequency(t);
    if (t < 40) {
      query.terms.push_back(t);
      query.weights.push_back(1.0 + t % 3);
    }
    if (t % 16 == 0 && n_docs > 0) index.posting(t, static_cast<std::uint32_t>(t % n_docs));
  }
  index.find_term("no such term");
  std::vector<double> scores(n_docs);
  index.score_all(query, scores.data());
  if (compare) {
    const std::vector<double> expected = slow_scores(owner, query);
    for (std::size_t d = 0; d < n_docs; ++d)
      if (!close(scores[d], expected[d])) finding("a score differs from the slow reader's");
  }
  for (const Method method : {Method::automatic, Method::exhaustive}) {
    for (const std::size_t k : {std::size_t{1}, std::size_t{10}, n_docs}) {
      const std::size_t width = std::min(k, n_docs);
      std::vector<std::int64_t> documents(width);
      std::vector<double> found(width);
      const std::size_t n = index.search(query, width, method, -1, 1, documents.data(), found.data());
      if (n > width) finding("more hits than were asked for");
      for (std::size_t i = 0; i < n; ++i) {
        if (documents[i] < 0 || static_cast<std::size_t>(documents[i]) >= n_docs) finding("a hit outside the index");
        if (found[i] != scores[static_cast<std::size_t>(documents[i])]) finding("a hit's score differs from score_all");
        if (i > 0 && !(found[i] < found[i - 1] || (found[i] == found[i - 1] && documents[i] > documents[i - 1])))
          finding("hits out of order");
      }
    }
  }
  for (std::uint32_t d = 0; d < n_docs && d < 5; ++d) {
    index.keywords(d, 3, 1, 1e9);
    RelatedOptions options;
    options.full = d % 2 == 0;
    index.related_query(d, options);
  }
  index.warm(1);
}

enum Outcome { kRefused, kRefusedLater, kAccepted };

Outcome run_one(const Input& input) {
  const auto owner = std::make_shared<const Owner>(input);
  Scoring scoring;
  scoring.variant = static_cast<Variant>((input.options >> 1) % 7);
  const bool full = (input.options & 1) != 0;
  std::unique_ptr<Index> index;
  try {
    index = Index::validate(*owner, owner, scoring, true, full);
  } catch (const corrupt_error&) {
    return kRefused;
  }
  try {
    use(*index, *owner, scoring.variant == Variant::lucene);
    index->check();
  } catch (const corrupt_error&) {
    if (full) finding("refused in use after a full check");
    return kRefusedLater;
  }
  return kAccepted;
}

Bytes bytes_of(const void* data, std::size_t size) {
  const auto* p = static_cast<const std::uint8_t*>(data);
  return size == 0 ? Bytes{} : Bytes(p, p + size);
}

Input sound_input(Random& random) {
  Analysis analysis;
  analysis.words = Words::given;
  Scanner scanner(std::make_shared<Analyzer>(analysis));
  const std::size_t n_docs = random() % 300, n_terms = 1 + random() % 60;
  std::vector<std::string> names;
  for (std::size_t t = 0; t < n_terms; ++t) names.push_back((t % 7 == 0 ? "é" : "t") + std::to_string(t));
  for (std::size_t d = 0; d < n_docs; ++d) {
    std::vector<std::string_view> tokens;
    const std::size_t length = random() % 50 == 0 ? 600 : random() % 20;
    for (std::size_t i = 0; i < length; ++i)
      tokens.emplace_back(names[length == 600 ? d % n_terms : std::min(random() % n_terms, random() % n_terms)]);
    scanner.add_tokens(tokens);
  }
  Builder builder;
  for (std::size_t i = 0; i < scanner.n_forms(); ++i) builder.add_form(scanner.form(i));
  builder.add(scanner.offsets(), scanner.forms());
  const Builder::Result built = builder.finish(scanner);
  Input input;
  const SegmentArrays a = built.arrays();
  std::size_t i = 0;
  for_each_array([&](const char*, const auto& s) { input.arrays.at(i++) = bytes_of(s.data, s.size * sizeof(*s.data)); },
                 a);
  input.options = static_cast<std::uint8_t>(random());
  return input;
}

/// Changes one entry, the length, or the order of one array.
void mutate(Input& input, Random& random) {
  const std::size_t which = random() % Input::kArrays, item = Input::item(which);
  Bytes& a = input.arrays[which];
  const std::size_t n = a.size() / item;
  const auto set = [&](std::size_t i, std::uint64_t value) { std::memcpy(a.data() + i * item, &value, item); };
  const auto get = [&](std::size_t i) {
    std::uint64_t value = 0;
    std::memcpy(&value, a.data() + i * item, item);
    return value;
  };
  const std::size_t n_docs = input.arrays[0].size() / 4, n_postings = input.arrays[2].size() / 4;
  const std::uint64_t values[] = {0, 1, 2, 254, 255, 256, n_docs - 1, n_docs, n_docs + 1, n_postings - 1, n_postings,
                                  n_postings + 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF,
                                  std::uint64_t{1} << 32, (std::uint64_t{1} << 63) - 1, ~std::uint64_t{0}, random()};
  switch (n == 0 ? 3 + random() % 2 : random() % 9) {
    case 0: set(random() % n, values[random() % std::size(values)]); break;
    case 1: set(random() % n, get(random() % n)); break;
    case 2: {
      const std::size_t i = random() % n;
      set(i, get(i) + (random() % 2 == 0 ? 1 : ~std::uint64_t{0}));
      break;
    }
    case 3: a.insert(a.end(), item, static_cast<std::uint8_t>(random())); break;
    case 4: a.resize(a.size() - (n == 0 ? 0 : item * (1 + random() % n))); break;
    case 5: {
      const std::size_t i = random() % n, j = random() % n;
      const std::uint64_t x = get(i), y = get(j);
      set(i, y);
      set(j, x);
      break;
    }
    case 6: a[random() % a.size()] ^= static_cast<std::uint8_t>(1u << (random() % 8)); break;
    case 7: set(n - 1, values[random() % std::size(values)]); break;  // ends are where off-by-ones live
    default: set(0, values[random() % std::size(values)]); break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input;
  if (Input::parse(data, size, input)) run_one(input);
  return 0;
}

#if defined(LIKEWISE_LIBFUZZER)
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t capacity,
                                               unsigned seed) {
  return fuzz::mutate_bytes<Input>(data, size, capacity, seed, sound_input, mutate);
}
#else
int main(int n_arguments, char** arguments) {
  const fuzz::Options options = fuzz::read_options(n_arguments, arguments, LLVMFuzzerTestOneInput);
  fuzz::run_mutants(options, "fuzz_segment.last", {"refused", "refused at use", "accepted and in agreement"}, kAccepted, sound_input, mutate, run_one);
}
#endif
