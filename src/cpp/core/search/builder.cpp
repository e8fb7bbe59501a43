#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>

#include "core/search/string_table.hpp"
#include "likewise/search/index.hpp"

namespace likewise::search {
namespace {

constexpr std::uint32_t kDropped = kNotFound;
constexpr std::size_t kBlock = std::size_t{1} << 18;  // postings a block: freed one by one while inverting

struct Block {
  std::vector<std::uint32_t> terms;
  std::vector<std::uint8_t> frequencies;  // 255: the next large frequency
};

std::size_t code_points(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u; }));
}

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

}  // namespace

struct Builder::State {
  Interner terms;
  std::vector<std::uint32_t> term_of_form;
  std::vector<std::uint64_t> form_counts;
  std::vector<std::uint64_t> document_counts;    // by term: documents that hold it
  std::vector<std::uint32_t> counts;             // by term: scratch, zero between documents
  std::vector<std::uint32_t> document_lengths;
  std::vector<std::uint32_t> document_sizes;     // distinct terms
  std::vector<Block> blocks;
  std::vector<std::uint32_t> large;              // frequencies >= 255 in order of arrival
  std::vector<std::uint32_t> touched;

  void end_document(std::uint64_t length) {
    if (document_lengths.size() >= kNotFound - 1)
      throw value_error("documents: expected fewer than 2**32 - 1 documents in an index");
    if (length > 0xFFFFFFFFull) throw value_error("documents: expected fewer than 2**32 tokens in a document");
    document_lengths.push_back(static_cast<std::uint32_t>(length));
    document_sizes.push_back(static_cast<std::uint32_t>(touched.size()));
    for (const std::uint32_t term : touched) {
      if (blocks.empty() || blocks.back().terms.size() == kBlock) {
        blocks.emplace_back();
        blocks.back().terms.reserve(kBlock);
        blocks.back().frequencies.reserve(kBlock);
      }
      const std::uint32_t count = std::exchange(counts[term], 0);
      blocks.back().terms.push_back(term);
      blocks.back().frequencies.push_back(static_cast<std::uint8_t>(std::min(count, 255u)));
      if (count >= 255) large.push_back(count);
      ++document_counts[term];
    }
    touched.clear();
  }
};

Builder::Builder() : state_(std::make_unique<State>()) {}
Builder::~Builder() = default;
Builder::Builder(Builder&&) noexcept = default;

std::size_t Builder::n_forms() const noexcept { return state_->term_of_form.size(); }
std::uint64_t Builder::n_docs() const noexcept { return state_->document_lengths.size(); }

void Builder::add_form(std::string_view term, bool dropped) {
  State& s = *state_;
  s.form_counts.push_back(0);
  s.term_of_form.push_back(dropped ? kDropped : s.terms.add(term));
  if (s.terms.size() > s.counts.size()) {
    s.counts.push_back(0);
    s.document_counts.push_back(0);
  }
}

void Builder::add(span<const std::int64_t> offsets, span<const std::uint32_t> forms) {
  State& s = *state_;
  if (offsets.empty() || offsets[0] != 0 || offsets[offsets.size - 1] != static_cast<std::int64_t>(forms.size))
    throw value_error("offsets: expected offsets from 0 to the number of forms");
  for (std::size_t d = 0; d + 1 < offsets.size; ++d)
    if (offsets[d] > offsets[d + 1]) throw value_error("offsets: expected offsets that do not decrease");
  for (const std::uint32_t form : forms)
    if (form >= s.term_of_form.size()) throw value_error("forms: expected forms that have been named");
  for (std::size_t d = 0; d + 1 < offsets.size; ++d) {
    std::uint64_t length = 0;
    for (std::int64_t i = offsets[d]; i < offsets[d + 1]; ++i) {
      const std::uint32_t form = forms[static_cast<std::size_t>(i)];
      const std::uint32_t term = s.term_of_form[form];
      if (term == kDropped) continue;
      ++length;
      ++s.form_counts[form];
      if (s.counts[term]++ == 0) s.touched.push_back(term);
    }
    s.end_document(length);
  }
}

Builder::Result Builder::finish_with(std::string_view (*form_text)(const void*, std::uint32_t), const void* context) {
  State& s = *state_;
  Result r;
  // Terms without a document (all their forms came from a failed chunk) cannot occur: each form is named when seen.
  const std::size_t n_terms = s.terms.size();
  std::vector<std::uint32_t> order(n_terms);
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return s.terms[a] < s.terms[b]; });
  std::vector<std::uint32_t> rank(n_terms);
  r.term_offsets.reserve(n_terms + 1);
  r.term_offsets.push_back(0);
  r.posting_offsets.reserve(n_terms + 1);
  r.posting_offsets.push_back(0);
  r.term_bytes.reserve(s.terms.bytes());
  for (std::size_t i = 0; i < n_terms; ++i) {
    rank[order[i]] = static_cast<std::uint32_t>(i);
    const std::string_view text = s.terms[order[i]];
    r.term_bytes.insert(r.term_bytes.end(), text.begin(), text.end());
    r.term_offsets.push_back(r.term_bytes.size());
    r.posting_offsets.push_back(r.posting_offsets.back() + s.document_counts[order[i]]);
  }
  r.term_slots.assign(slot_count(n_terms), 0);
  fill_slots(r.term_offsets, r.term_bytes, r.term_slots);

  r.term_forms.assign(n_terms, kNotFound);
  for (std::uint32_t form = 0; form < s.term_of_form.size(); ++form) {
    if (s.term_of_form[form] == kDropped) continue;
    std::uint32_t& best = r.term_forms[rank[s.term_of_form[form]]];
    const auto better = [&] {
      if (best == kNotFound) return true;
      if (s.form_counts[form] != s.form_counts[best]) return s.form_counts[form] > s.form_counts[best];
      const std::string_view a = form_text(context, form), b = form_text(context, best);
      const std::size_t na = code_points(a), nb = code_points(b);
      return na != nb ? na < nb : a < b;
    };
    if (better()) best = form;
  }

  const std::uint64_t n_postings = r.posting_offsets.back();
  r.posting_documents.resize(n_postings);
  r.posting_frequencies.resize(n_postings);
  std::vector<std::uint64_t> cursor(r.posting_offsets.begin(), r.posting_offsets.end() - 1);
  std::vector<std::pair<std::uint64_t, std::uint32_t>> large;
  std::size_t document = 0, left = 0, next_large = 0;
  for (Block& block : s.blocks) {
    for (std::size_t i = 0; i < block.terms.size(); ++i) {
      if (left == 0) {
        while (s.document_sizes[document] == 0) ++document;
        left = s.document_sizes[document];
      }
      const std::uint64_t at = cursor[rank[block.terms[i]]]++;
      r.posting_documents[at] = static_cast<std::uint32_t>(document);
      r.posting_frequencies[at] = block.frequencies[i];
      if (block.frequencies[i] == 255) large.emplace_back(at, s.large[next_large++]);
      if (--left == 0) ++document;
    }
    block = Block();
  }
  std::sort(large.begin(), large.end());
  for (const auto& [position, frequency] : large) {
    r.large_positions.push_back(position);
    r.large_frequencies.push_back(frequency);
  }
  r.document_lengths = std::move(s.document_lengths);
  state_ = std::make_unique<State>();
  return r;
}

SegmentArrays Builder::Result::arrays() const {
  SegmentArrays a;
  a.document_lengths = document_lengths;
  a.posting_offsets = posting_offsets;
  a.posting_documents = posting_documents;
  a.posting_frequencies = posting_frequencies;
  a.large_positions = large_positions;
  a.large_frequencies = large_frequencies;
  a.term_offsets = term_offsets;
  a.term_bytes = term_bytes;
  a.term_slots = term_slots;
  return a;
}

}  // namespace likewise::search
