#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "core/search/string_table.hpp"
#include "core/search/unicode.hpp"
#include "core/thread_pool.hpp"
#include "likewise/search/building.hpp"

namespace likewise::search {
namespace {

/// Postings in order of documents, about 2.3 bytes each: 2 * term + (frequency > 1), then the frequency if it is more
/// than 1, in groups of 7 bits. Blocks are freed one by one while they are read.
class PostingStream {
 public:
  void push(std::uint32_t term, std::uint32_t frequency) {
    if (blocks_.empty() || left_ < kLongest) {
      if (!blocks_.empty()) blocks_.back().resize(kBlock - left_);
      blocks_.emplace_back(kBlock);
      at_ = blocks_.back().data();
      left_ = kBlock;
    }
    const std::uint8_t* const begin = at_;
    put(std::uint64_t{term} << 1 | (frequency > 1));
    if (frequency > 1) put(frequency);
    left_ -= static_cast<std::size_t>(at_ - begin);
  }
  struct Posting {
    std::uint32_t term, frequency;
  };
  static constexpr std::size_t kBatch = 64;
  /// Calls f(postings, n) for up to kBatch postings at a time, and empties the stream.
  template <class F>
  void drain(const F& f) {
    if (!blocks_.empty()) blocks_.back().resize(kBlock - left_);
    for (std::vector<std::uint8_t>& block : blocks_) {
      const std::uint8_t* p = block.data();
      const std::uint8_t* const end = p + block.size();
      Posting batch[kBatch];
      while (p < end) {
        std::size_t n = 0;
        for (; n < kBatch && p < end; ++n) {
          const std::uint64_t value = get(p);
          batch[n].term = static_cast<std::uint32_t>(value >> 1);
          batch[n].frequency = (value & 1) != 0 ? static_cast<std::uint32_t>(get(p)) : 1u;
        }
        f(batch, n);
      }
      std::vector<std::uint8_t>().swap(block);
    }
    blocks_.clear();
    left_ = 0;
  }

 private:
  static constexpr std::size_t kBlock = std::size_t{1} << 18, kLongest = 16;
  void put(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) *at_++ = static_cast<std::uint8_t>(value | 0x80);
    *at_++ = static_cast<std::uint8_t>(value);
  }
  static std::uint64_t get(const std::uint8_t*& p) {
    std::uint64_t value = *p & 0x7Fu;
    for (unsigned shift = 7; (*p++ & 0x80u) != 0; shift += 7) value |= std::uint64_t{*p & 0x7Fu} << shift;
    return value;
  }
  std::vector<std::vector<std::uint8_t>> blocks_;
  std::uint8_t* at_ = nullptr;
  std::size_t left_ = 0;
};

std::size_t code_points(std::string_view text) { return unicode::count_code_points(text); }

/// Distinct strings, numbered in order of arrival.
class Interner {
 public:
  std::uint32_t add(std::string_view text) {
    if (2 * (offsets_.size() + 1) > slots_.size()) grow();
    std::size_t at = hash_bytes(text) & (slots_.size() - 1);
    for (; slots_[at] != 0; at = (at + 1) & (slots_.size() - 1))
      if ((*this)[slots_[at] - 1] == text) return slots_[at] - 1;
    bytes_.insert(bytes_.end(), text.begin(), text.end());
    offsets_.push_back(bytes_.size());
    slots_[at] = static_cast<std::uint32_t>(offsets_.size() - 1);
    return slots_[at] - 1;
  }
  std::size_t size() const { return offsets_.size() - 1; }
  std::size_t bytes() const { return bytes_.size(); }
  std::string_view operator[](std::size_t i) const {
    return {bytes_.data() + offsets_[i], static_cast<std::size_t>(offsets_[i + 1] - offsets_[i])};
  }

 private:
  void grow() {
    slots_.assign(std::max<std::size_t>(1024, slots_.size() * 2), 0);
    for (std::size_t i = 0; i < size(); ++i) {
      std::size_t at = hash_bytes((*this)[i]) & (slots_.size() - 1);
      while (slots_[at] != 0) at = (at + 1) & (slots_.size() - 1);
      slots_[at] = static_cast<std::uint32_t>(i + 1);
    }
  }
  std::vector<char> bytes_;
  std::vector<std::uint64_t> offsets_{0};
  std::vector<std::uint32_t> slots_;
};

/// The numbers of the strings in the order of their bytes.
std::vector<std::uint32_t> sorted(const Interner& strings) {
  // Most comparisons are decided by the first 8 bytes, kept beside the number.
  struct Item {
    std::uint64_t prefix;
    std::uint32_t number;
  };
  std::vector<Item> items(strings.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::string_view text = strings[i];
    std::uint64_t prefix = 0;
    for (std::size_t k = 0; k < 8; ++k)
      prefix = prefix << 8 | (k < text.size() ? static_cast<unsigned char>(text[k]) : 0u);
    items[i] = {prefix, static_cast<std::uint32_t>(i)};
  }
  std::size_t compared = 0;
  std::sort(items.begin(), items.end(), [&](const Item& a, const Item& b) {
    if (++compared % (std::size_t{1} << 20) == 0) poll_interrupt();
    return a.prefix != b.prefix ? a.prefix < b.prefix : strings[a.number] < strings[b.number];
  });
  std::vector<std::uint32_t> order(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) order[i] = items[i].number;
  return order;
}

}  // namespace

struct Builder::State {
  Interner terms;
  struct Form {
    std::uint64_t count;  // occurrences
    std::uint32_t term;
  };
  std::vector<Form> forms;
  struct Count {
    std::uint32_t here;       // in the document at hand; zero between documents
    std::uint32_t documents;  // that hold the term
  };
  std::vector<Count> counts;  // by term
  std::vector<std::uint32_t> document_lengths;
  std::vector<std::uint32_t> document_sizes;     // distinct terms
  PostingStream postings;                        // terms numbered in order of arrival
  std::vector<std::uint32_t> touched;

  void end_document(std::uint64_t length) {
    if (document_lengths.size() >= kNotFound - 1)
      throw value_error("documents: expected fewer than 2**32 - 1 documents in an index");
    if (length > 0xFFFFFFFFull) throw value_error("documents: expected fewer than 2**32 tokens in a document");
    document_lengths.push_back(static_cast<std::uint32_t>(length));
    document_sizes.push_back(static_cast<std::uint32_t>(touched.size()));
    for (const std::uint32_t term : touched) {
      Count& count = counts[term];
      postings.push(term, std::exchange(count.here, 0));
      ++count.documents;
    }
    touched.clear();
  }

  void write_terms(Result& r, std::vector<std::uint32_t>& rank);
  void write_forms(Result& r, const std::vector<std::uint32_t>& rank, const Scanner& scanner) const;
  void write_postings(Result& r, const std::vector<std::uint32_t>& rank);
};

Builder::Builder() : state_(std::make_unique<State>()) {}
Builder::~Builder() = default;

std::size_t Builder::n_forms() const noexcept { return state_->forms.size(); }
std::uint64_t Builder::n_docs() const noexcept { return state_->document_lengths.size(); }

void Builder::add_form(std::string_view term) {
  State& s = *state_;
  s.forms.push_back({0, s.terms.add(term)});
  if (s.terms.size() > s.counts.size()) s.counts.push_back({0, 0});
}

void Builder::add(span<const std::int64_t> offsets, span<const std::uint32_t> forms) {
  State& s = *state_;
  if (offsets.empty() || offsets[0] != 0 || offsets[offsets.size - 1] != static_cast<std::int64_t>(forms.size))
    throw value_error("offsets: expected offsets from 0 to the number of forms");
  for (std::size_t d = 0; d + 1 < offsets.size; ++d)
    if (offsets[d] > offsets[d + 1]) throw value_error("offsets: expected offsets that do not decrease");
  for (const std::uint32_t form : forms)
    if (form >= s.forms.size()) throw value_error("forms: expected forms that have been named");
  // Both tables outgrow the caches: their lines are asked for some tokens ahead.
  constexpr std::size_t kFormsAhead = 32, kCountsAhead = 16;
  const std::size_t n = forms.size;
  for (std::size_t d = 0; d + 1 < offsets.size; ++d) {
    const auto begin = static_cast<std::size_t>(offsets[d]), end = static_cast<std::size_t>(offsets[d + 1]);
    for (std::size_t i = begin; i < end; ++i) {
      if (i + kFormsAhead < n) {
        __builtin_prefetch(&s.forms[forms[i + kFormsAhead]], 1);
        __builtin_prefetch(&s.counts[s.forms[forms[i + kCountsAhead]].term], 1);
      }
      State::Form& form = s.forms[forms[i]];
      ++form.count;
      if (s.counts[form.term].here++ == 0) s.touched.push_back(form.term);
    }
    s.end_document(end - begin);
  }
}

void Builder::State::write_terms(Result& r, std::vector<std::uint32_t>& rank) {
  // Terms without a document cannot occur: each form is named when it is first seen in one.
  const std::size_t n_terms = terms.size();
  const std::vector<std::uint32_t> order = sorted(terms);
  rank.resize(n_terms);
  r.term_offsets.reserve(n_terms + 1);
  r.term_offsets.push_back(0);
  r.posting_offsets.reserve(n_terms + 1);
  r.posting_offsets.push_back(0);
  r.term_bytes.reserve(terms.bytes());
  for (std::size_t i = 0; i < n_terms; ++i) {
    rank[order[i]] = static_cast<std::uint32_t>(i);
    const std::string_view text = terms[order[i]];
    r.term_bytes.insert(r.term_bytes.end(), text.begin(), text.end());
    r.term_offsets.push_back(r.term_bytes.size());
    r.posting_offsets.push_back(r.posting_offsets.back() + counts[order[i]].documents);
  }
  r.term_slots.assign(slot_count(n_terms), 0);
  fill_slots(r.term_offsets, r.term_bytes, r.term_slots);
  terms = Interner();
}

void Builder::State::write_forms(Result& r, const std::vector<std::uint32_t>& rank, const Scanner& scanner) const {
  std::vector<std::uint32_t> best(rank.size(), kNotFound);
  const auto better = [&](std::uint32_t form, std::uint32_t than) {
    if (forms[form].count != forms[than].count) return forms[form].count > forms[than].count;
    const std::string_view a = scanner.form(form), b = scanner.form(than);
    const std::size_t na = code_points(a), nb = code_points(b);
    return na != nb ? na < nb : a < b;
  };
  for (std::uint32_t form = 0; form < forms.size(); ++form) {
    std::uint32_t& place = best[rank[forms[form].term]];
    if (place == kNotFound || better(form, place)) place = form;
  }
  r.form_offsets.reserve(best.size() + 1);
  r.form_offsets.push_back(0);
  for (const std::uint32_t form : best) {
    const std::string_view text = scanner.form(form);
    r.form_bytes.insert(r.form_bytes.end(), text.begin(), text.end());
    r.form_offsets.push_back(r.form_bytes.size());
  }
  if (r.form_offsets == r.term_offsets && r.form_bytes == r.term_bytes) {
    r.form_offsets = {};
    r.form_bytes = {};
  }
}

void Builder::State::write_postings(Result& r, const std::vector<std::uint32_t>& rank) {
  constexpr std::size_t kSafePoint = std::size_t{1} << 20;
  const std::uint64_t n_postings = r.posting_offsets.back();
  r.posting_documents.resize(n_postings);
  r.posting_frequencies.resize(n_postings);
  std::vector<std::uint64_t> cursor(rank.size());
  for (std::size_t i = 0; i < rank.size(); ++i) cursor[i] = r.posting_offsets[rank[i]];
  std::vector<std::pair<std::uint64_t, std::uint32_t>> large;
  std::size_t document = 0, left = 0, done = 0;
  // Each posting goes somewhere else: its lines are asked for a batch ahead.
  postings.drain([&](const PostingStream::Posting* batch, std::size_t n) {
    std::uint64_t places[PostingStream::kBatch];
    for (std::size_t i = 0; i < n; ++i) __builtin_prefetch(&cursor[batch[i].term], 1);
    for (std::size_t i = 0; i < n; ++i) {
      places[i] = cursor[batch[i].term]++;
      __builtin_prefetch(&r.posting_documents[places[i]], 1);
      __builtin_prefetch(&r.posting_frequencies[places[i]], 1);
    }
    for (std::size_t i = 0; i < n; ++i) {
      if (left == 0) {
        while (document_sizes[document] == 0) ++document;
        left = document_sizes[document];
      }
      r.posting_documents[places[i]] = static_cast<std::uint32_t>(document);
      r.posting_frequencies[places[i]] = static_cast<std::uint8_t>(std::min(batch[i].frequency, 255u));
      if (batch[i].frequency >= 255) large.emplace_back(places[i], batch[i].frequency);
      if (--left == 0) ++document;
    }
    done += n;
    if (done % kSafePoint < n) poll_interrupt();
  });
  std::sort(large.begin(), large.end());
  for (const auto& [position, frequency] : large) {
    r.large_positions.push_back(position);
    r.large_frequencies.push_back(frequency);
  }
}

Builder::Result Builder::finish(Scanner& scanner) {
  State& s = *state_;
  if (scanner.n_forms() < s.forms.size()) throw value_error("scanner: expected the one that made the forms");
  Result r;
  std::vector<std::uint32_t> rank;
  s.write_terms(r, rank);
  s.write_forms(r, rank, scanner);
  scanner.reset();
  s.forms = {};
  s.counts = {};
  s.write_postings(r, rank);
  r.document_lengths = std::move(s.document_lengths);
  state_ = std::make_unique<State>();
  return r;
}

void TextStore::add(span<const std::string_view> parts, std::size_t n_parts) {
  constexpr std::size_t kBlock = std::size_t{1} << 20;
  for (std::size_t i = 0; i < parts.size; ++i) {
    const bool last = (i + 1) % n_parts == 0;
    const std::size_t size = parts[i].size() + (last ? 0 : 1);
    if (blocks_.empty() || blocks_.back().capacity() - blocks_.back().size() < size) {
      blocks_.emplace_back();
      blocks_.back().reserve(std::max(size, kBlock));
    }
    blocks_.back().append(parts[i]);
    if (!last) blocks_.back().push_back('\n');
    const std::uint64_t end = offsets_.back() + size;
    if (i % n_parts == 0) {
      offsets_.push_back(end);
    } else {
      offsets_.back() = end;
    }
  }
}

TextStore::Result TextStore::finish() {
  Result r;
  r.bytes.reserve(offsets_.back());
  for (std::string& block : blocks_) {
    r.bytes.insert(r.bytes.end(), block.begin(), block.end());
    std::string().swap(block);
  }
  r.offsets = std::move(offsets_);
  blocks_.clear();
  offsets_.assign(1, 0);
  return r;
}

SegmentArrays Builder::Result::arrays() const {
  SegmentArrays a;
  for_each_array([](const char*, auto& view, const auto& array) { view = array; }, a, *this);
  return a;
}

}  // namespace likewise::search
