#include "core/search/engine.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <numeric>

#include "core/thread_pool.hpp"

namespace likewise::search {

namespace {

/// Far beyond these limits impacts vanish in a float, or overflow: documents would be missing without a word.
void check_scoring(const Scoring& scoring) {
  const auto fits = [](double x) { return x == 0 || (x >= 1e-6 && x <= 1e6); };
  if (!fits(scoring.k1)) throw value_error("k1: expected 0, or a number from 1e-06 to 1e+06");
  if (!fits(scoring.delta)) throw value_error("delta: expected 0, or a number from 1e-06 to 1e+06");
  if (!(scoring.b >= 0 && scoring.b <= 1)) throw value_error("b: expected a number from 0 to 1");
}

}  // namespace

std::unique_ptr<Index> Index::validate(const SegmentArrays& arrays, std::shared_ptr<const void> owner,
                                       const Scoring& scoring, bool float64, bool full,
                                       std::optional<std::uint64_t> n_tokens, const BlockVisitor& before_block) {
  check_scoring(scoring);
  Segment segment(arrays, std::move(owner), full, n_tokens, before_block);
  if (float64) return std::make_unique<Engine<double>>(std::move(segment), scoring);
  return std::make_unique<Engine<float>>(std::move(segment), scoring);
}

Query Index::make_query(span<const std::uint32_t> tokens, double k3) const {
  Query query;
  // A small open hash table of the terms seen: linear in the number of tokens.
  std::size_t mask = 15;
  while (mask < 2 * tokens.size) mask = 2 * mask + 1;
  std::vector<std::uint32_t> slots(mask + 1, 0);
  for (const std::uint32_t token : tokens) {
    if (token == kNotFound) continue;
    std::size_t at = std::uint32_t{token * 0x9E3779B1u} & mask;
    while (slots[at] != 0 && query.terms[slots[at] - 1] != token) at = (at + 1) & mask;
    if (slots[at] == 0) {
      query.terms.push_back(token);
      query.weights.push_back(0);
      slots[at] = static_cast<std::uint32_t>(query.terms.size());
    }
    query.weights[slots[at] - 1] += 1;
  }
  if (k3 >= 0)
    for (double& weight : query.weights) weight = (k3 + 1) * weight / (k3 + weight);
  return query;
}

ForwardIndex::ForwardIndex(const Segment& segment) {
  const std::size_t n_docs = segment.n_docs(), n_terms = segment.terms().size();
  const SegmentArrays& a = segment.arrays();
  const auto width = [](std::uint64_t value) {
    std::size_t n = 1;
    for (; value >= 0x80; value >>= 7) ++n;
    return n;
  };
  for (std::uint32_t t = 0; t < n_terms; ++t) segment.check_postings(t);
  std::vector<std::uint32_t> previous(n_docs, 0);
  const auto each_posting = [&](const auto& visit) {
    std::fill(previous.begin(), previous.end(), 0u);
    for (std::uint32_t t = 0; t < n_terms; ++t)
      for (std::uint64_t p = a.posting_offsets[t]; p < a.posting_offsets[t + 1]; ++p) {
        const std::uint32_t document = a.posting_documents[p], frequency = segment.frequency(p);
        const std::uint64_t head = std::uint64_t{t - previous[document]} << 1 | (frequency > 1 ? 1u : 0u);
        previous[document] = t;
        visit(document, head, frequency);
      }
  };
  offsets_.assign(n_docs + 1, 0);
  each_posting([&](std::uint32_t document, std::uint64_t head, std::uint32_t frequency) {
    offsets_[document + 1] += width(head) + (frequency > 1 ? width(frequency) : 0);
  });
  std::partial_sum(offsets_.begin(), offsets_.end(), offsets_.begin());
  bytes_.resize(offsets_.back());
  // offsets_[d] serves as the cursor of document d, and ends where document d + 1 starts: shifted back afterwards.
  each_posting([&](std::uint32_t document, std::uint64_t head, std::uint32_t frequency) {
    std::uint64_t& at = offsets_[document];
    const auto write = [&](std::uint64_t value) {
      for (; value >= 0x80; value >>= 7) bytes_[at++] = static_cast<std::uint8_t>(value | 0x80);
      bytes_[at++] = static_cast<std::uint8_t>(value);
    };
    write(head);
    if (frequency > 1) write(frequency);
  });
  for (std::size_t d = n_docs; d > 0; --d) offsets_[d] = offsets_[d - 1];
  offsets_[0] = 0;
}

FrequentTerms::FrequentTerms(const Segment& segment, const Formula& formula)
    : n_chunks_((segment.n_docs() + NibbleList::kChunk - 1) / NibbleList::kChunk), terms_([&] {
        // Terms of equal frequency are taken all or none, so that those taken are the last of every query's order.
        const std::size_t n_docs = segment.n_docs(), n_postings = segment.arrays().posting_documents.size;
        const auto room = static_cast<std::size_t>(kShare * static_cast<double>(n_postings)) / (n_chunks_ * 68 + 1);
        std::vector<std::uint32_t> terms;
        segment.visit_frequent_terms(n_docs / 64, [&](std::uint32_t t) { terms.push_back(t); });
        if (terms.size() > room) {
          std::sort(terms.begin(), terms.end(), [&](std::uint32_t a, std::uint32_t b) {
            return segment.document_frequency(a) > segment.document_frequency(b);
          });
          const std::uint32_t too_rare = segment.document_frequency(terms[room]);
          while (!terms.empty() && segment.document_frequency(terms.back()) <= too_rare) terms.pop_back();
          std::sort(terms.begin(), terms.end());
        }
        return terms;
      }()),
      nibbles_(terms_.size() * n_chunks_ * 64),
      counts_(terms_.size() * n_chunks_) {
  double largest = 0;
  for (const std::uint32_t term : terms_) largest = std::max(largest, formula.idf(segment.document_frequency(term)));
  scale_ = largest * formula.largest_gain() / 15 * (1 + 1e-6);
}

namespace {

Statistics statistics_of(const Segment& segment) {
  Statistics s;
  s.n_docs = segment.n_docs();
  s.n_terms = segment.terms().size();
  s.n_postings = segment.arrays().posting_documents.size;
  s.n_tokens = segment.n_tokens();
  if (s.n_docs > 0) s.average_length = static_cast<double>(s.n_tokens) / static_cast<double>(s.n_docs);
  return s;
}

Formula formula_of(const Segment& segment, const Scoring& scoring) {
  const Statistics s = statistics_of(segment);
  Formula formula(scoring, static_cast<double>(s.n_docs), s.average_length);
  if (scoring.variant == Variant::okapi && s.n_terms > 0) {
    double sum = 0;
    for (std::uint32_t t = 0; t < s.n_terms; ++t) sum += formula.odds(segment.document_frequency(t));
    formula.set_okapi_floor(sum / static_cast<double>(s.n_terms));
  }
  return formula;
}

Scoring lucene_of(Scoring scoring) {
  scoring.variant = Variant::lucene;
  return scoring;
}

}  // namespace

template <class T>
Engine<T>::Engine(Segment segment, const Scoring& scoring)
    : segment_(std::move(segment)),
      statistics_(statistics_of(segment_)),
      formula_(formula_of(segment_, scoring)),
      lucene_(formula_of(segment_, lucene_of(scoring))),
      impacts_(statistics_.n_postings),
      bounds_(statistics_.n_terms),
      derived_(statistics_.n_terms),
      frequent_(segment_, formula_) {}

template <class T>
std::uint64_t Engine<T>::bytes() const noexcept {
  const ForwardIndex* forward = forward_.load(std::memory_order_acquire);
  return segment_.bytes() + frequent_.bytes() + sizeof(T) * statistics_.n_postings +
         (sizeof(TermBounds<T>) + 1) * statistics_.n_terms + (forward != nullptr ? forward->bytes() : 0);
}

template <class T>
void Engine<T>::derive_term(std::uint32_t term) const {
  segment_.check_postings(term);
  const SegmentArrays& a = segment_.arrays();
  const double idf_of_term = idf(term);
  const std::uint64_t begin = a.posting_offsets[term], end = a.posting_offsets[term + 1];
  T largest = 0;
  for (std::uint64_t p = begin; p < end; ++p) {
    const double length = formula_.length_factor(a.document_lengths[a.posting_documents[p]]);
    impacts_[p] = static_cast<T>(idf_of_term * formula_.gain(segment_.frequency(p), length));
    largest = std::max(largest, impacts_[p]);
  }
  if (const std::size_t at = frequent_.find(term); at < frequent_.size()) {
    const NibbleList list = frequent_[at];
    const double per_step = frequent_.scale() > 0 ? 1 / frequent_.scale() : 0;
    std::size_t chunk = 0;
    for (std::uint64_t p = begin; p < end; ++p) {
      const std::uint32_t document = a.posting_documents[p];
      while (chunk * NibbleList::kChunk <= document) list.counts[chunk++] = static_cast<std::uint32_t>(p - begin);
      const double steps = std::ceil(static_cast<double>(impacts_[p]) * per_step);
      list.set(document, static_cast<std::uint32_t>(std::min(15.0, std::max(1.0, steps))));
    }
    while (chunk < frequent_.n_chunks()) list.counts[chunk++] = static_cast<std::uint32_t>(end - begin);
  }
  TermBounds<T>& bounds = bounds_[term];
  bounds.largest = largest;
  if (end - begin < kBoundRanks[0] || !(largest > 0)) return;
  // Lower bounds from a histogram: the lower edge of the step that holds the rank.
  const double steps = 255.0 / static_cast<double>(largest);
  std::uint64_t histogram[256] = {};
  for (std::uint64_t p = begin; p < end; ++p) {
    const double step = static_cast<double>(impacts_[p]) * steps;
    ++histogram[step >= 0 && step < 256 ? static_cast<std::size_t>(step) : 0];  // huge parameters give NaN
  }
  std::uint64_t above = 0;
  for (std::size_t step = 256, rank = 0; step-- > 0;) {
    above += histogram[step];
    while (rank < 3 && above >= kBoundRanks[rank]) bounds.steps[rank++] = static_cast<std::uint8_t>(step);
  }
}

template <class T>
NibbleList Engine<T>::nibbles_of(std::uint32_t term) const {
  const std::size_t at = frequent_.find(term);
  return at < frequent_.size() ? frequent_[at] : NibbleList();
}

template <class T>
void Engine<T>::derive(const std::vector<std::uint32_t>& terms) const {
  const auto ready = [&](std::uint32_t term) { return derived_[term].load(std::memory_order_acquire) != 0; };
  if (std::all_of(terms.begin(), terms.end(), ready)) return;
  const std::lock_guard<std::mutex> lock(lazy_initialisation_mutex());
  for (const std::uint32_t term : terms) {
    if (ready(term)) continue;
    derive_term(term);
    derived_[term].store(1, std::memory_order_release);
  }
}

template <class T>
const ForwardIndex& Engine<T>::forward() const {
  const ForwardIndex* found = forward_.load(std::memory_order_acquire);
  if (found != nullptr) return *found;
  const std::lock_guard<std::mutex> lock(lazy_initialisation_mutex());
  if (forward_owner_ == nullptr) forward_owner_ = std::make_unique<const ForwardIndex>(segment_);
  forward_.store(forward_owner_.get(), std::memory_order_release);
  return *forward_owner_;
}

template <class T>
void Engine<T>::warm(unsigned n_threads) const {
  constexpr std::size_t kStep = 1024;  // terms a piece
  const std::size_t n_terms = statistics_.n_terms;
  {
    const std::lock_guard<std::mutex> lock(lazy_initialisation_mutex());
    parallel_for((n_terms + kStep - 1) / kStep, n_threads, [&](std::size_t piece) {
      const std::size_t stop = std::min(n_terms, (piece + 1) * kStep);
      for (std::size_t t = piece * kStep; t < stop; ++t) {
        if (derived_[t].load(std::memory_order_acquire) != 0) continue;
        derive_term(static_cast<std::uint32_t>(t));
        derived_[t].store(1, std::memory_order_release);
      }
    });
  }
  forward();
}

template <class T>
std::pair<std::uint32_t, double> Engine<T>::posting(std::uint32_t term, std::uint32_t document) const {
  derive({term});
  const std::uint64_t at = segment_.find_posting(term, document);
  if (at == statistics_.n_postings) return {0, 0.0};
  return {segment_.frequency(at), static_cast<double>(impacts_[at])};
}

template <class T>
std::vector<std::uint32_t> Engine<T>::canonical_order(const Query& query) const {
  struct Key {
    std::uint32_t frequency, term, position;
  };
  std::vector<Key> keys;
  keys.reserve(query.terms.size());
  for (const std::uint32_t term : query.terms)
    keys.push_back({document_frequency(term), term, static_cast<std::uint32_t>(keys.size())});
  std::sort(keys.begin(), keys.end(), [](const Key& a, const Key& b) {
    return a.frequency != b.frequency ? a.frequency < b.frequency : a.term < b.term;
  });
  std::vector<std::uint32_t> order(keys.size());
  std::transform(keys.begin(), keys.end(), order.begin(), [](const Key& key) { return key.position; });
  return order;
}

template <class T>
double Engine<T>::baseline(const Query& query) const {
  return baseline(query, canonical_order(query));
}

template <class T>
double Engine<T>::baseline(const Query& query, const std::vector<std::uint32_t>& order) const {
  const double absent = formula_.absent();
  double sum = 0;
  if (absent > 0)
    for (const std::uint32_t i : order)
      if (document_frequency(query.terms[i]) > 0) sum += query.weights[i] * idf(query.terms[i]) * absent;
  return sum;
}

template <class T>
std::vector<Keyword> Engine<T>::keywords(std::uint32_t document, std::size_t n, double min_df, double max_df) const {
  std::vector<Keyword> found;
  forward().visit(document, [&](std::uint32_t term, std::uint32_t frequency) {
    const double df = document_frequency(term);
    if (df >= min_df && df <= max_df) found.push_back({term, frequency * lucene_.idf(df)});
  });
  // Terms ascend by their bytes, so their numbers settle ties.
  const auto better = [](const Keyword& a, const Keyword& b) {
    return a.score != b.score ? a.score > b.score : a.term < b.term;
  };
  n = std::min(n, found.size());
  std::partial_sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(n), found.end(), better);
  found.resize(n);
  return found;
}

template <class T>
Query Engine<T>::related_query(std::uint32_t document, const RelatedOptions& options) const {
  Query query;
  if (options.full) {
    forward().visit(document, [&](std::uint32_t term, std::uint32_t frequency) {
      query.terms.push_back(term);
      const double count = frequency;
      query.weights.push_back(options.k3 >= 0 ? (options.k3 + 1) * count / (options.k3 + count) : count);
    });
  } else {
    for (const Keyword& keyword : keywords(document, options.n_keywords, options.min_df, options.max_df)) {
      query.terms.push_back(keyword.term);
      query.weights.push_back(1.0);
    }
  }
  return query;
}

template class Engine<float>;
template class Engine<double>;

}  // namespace likewise::search
