// Queries: documents are taken in windows, a window's sums lie in the cache. Terms go in canonical order (engine.hpp).
// The longest lists, which come last, are not summed where a bound will do. Where many documents are touched, frequent
// terms enter by their four-bit bounds (frequent.hpp); where few are, lists are left out whole as soon as the k best so
// far promise more than all of them together (MaxScore: Turtle and Flood 1995). Either way the documents that may still
// reach the k best are completed: the same sum goes on in the same order, so no result depends on the choice.
// What it takes to be among the k best is guessed from the documents seen so far. A guess that proves too high costs a
// second pass, never a document.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/dispatch.hpp"
#include "core/search/engine.hpp"
#include "core/search/top_k.hpp"
#include "core/thread_pool.hpp"

namespace likewise::search {

inline constexpr std::size_t kBlock = 64;   // terms summed from zero before they join the total: keeps within 1e-6
inline constexpr std::size_t kWindow = 65536, kScores = 1 << 20;  // documents summed at a time
inline constexpr std::size_t kFirst = 256, kMost = 8192;          // documents looked at at a time: few at first
inline constexpr std::size_t kDense = 8;    // windows are read whole from one posting in kDense documents up
inline constexpr std::size_t kLeastGathered = 100;                // documents that a guess is made from
inline constexpr double kSurplus = 1.25, kSurplusOfBounds = 4;    // documents that it keeps for each of the k best
inline constexpr double kExclusion = 0.5;   // share of the threshold that left-out terms may make up together
inline constexpr std::size_t kAhead = 3, kLinesAhead = 8;
inline constexpr std::size_t kMinList = 128;                      // shorter lists are not worth leaving out
inline constexpr std::size_t kMostRepeats = 16, kMostBounded = 256;  // together below what 16-bit sums hold
inline constexpr std::size_t kWorthBounds = 100;  // postings a list and document sought: several are completed for
                                                  // each, and a look-up costs what some 30 postings do

template <class T>
const kernels::ScoreKernels<T>& score_kernels();
template <>
inline const kernels::ScoreKernels<float>& score_kernels<float>() {
  return kernel_table().search.f32;
}
template <>
inline const kernels::ScoreKernels<double>& score_kernels<double>() {
  return kernel_table().search.f64;
}

/// A document whose frequent terms are known by their bounds only.
template <class T>
struct Candidate {
  T bound, sum, total;
  std::uint32_t document;
};

/// What a thread needs to answer one query after the other. The sums are all zero between queries.
template <class T>
struct Workspace {
  std::vector<T> sums = std::vector<T>(kWindow), totals = std::vector<T>(kWindow);
  std::vector<std::uint32_t> documents;
  std::vector<T> found_sums, found_totals, found_bounds = std::vector<T>(kMost + 16);
  std::vector<std::uint16_t> nibble_sums = std::vector<std::uint16_t>(kMost);
  std::vector<const std::uint8_t*> lists, lists_here;
  std::vector<Candidate<T>> candidates;
  std::vector<const T*> impacts;
  TopK<T> best;
  bool dirty = false;

  Workspace() { reserve_found(kMost); }

  /// Room for n documents found at a time.
  void reserve_found(std::size_t n) {
    if (documents.size() >= n + 16) return;
    documents.resize(n + 16);
    found_sums.resize(n + 16);
    found_totals.resize(n + 16);
  }

  void begin() {
    if (dirty) {  // an exception ended the query before
      std::fill(sums.begin(), sums.end(), T(0));
      std::fill(totals.begin(), totals.end(), T(0));
    }
    dirty = true;
    lists.clear();
    candidates.clear();
  }
};

template <class T>
Workspace<T>& workspace() {
  static thread_local Workspace<T> space;
  return space;
}

template <class T>
class Retrieval {
 public:
  using Engine_ = Engine<T>;
  using Cursor = typename Engine_::Cursor;

  Retrieval(typename Engine_::Plan& plan, std::size_t n_docs, Workspace<T>& space)
      : plan_(plan), cursors_(plan.cursors), n_docs_(n_docs), kernels_(score_kernels<T>()), space_(space) {
    dense_ = plan.n_postings * kDense >= n_docs;
  }

  /// The k best of the documents [first_document, last_document), where a window may begin at the first.
  void run(std::size_t k, Method method, std::int64_t excluded, std::size_t first_document, std::size_t last_document) {
    k_ = k;
    excluded_ = excluded;
    first_document_ = first_document;
    last_document_ = last_document;
    n_summed_ = cursors_.size();
    // Partial sums and their bounds carry at most this relative rounding error.
    slack_ = 2.0 * static_cast<double>(cursors_.size() + 4) * static_cast<double>(std::numeric_limits<T>::epsilon());
    const bool exhaustive = method == Method::exhaustive;
    space_.best.start(k, exhaustive ? T(0) : plan_.primed);
    if (!dense_) return run_sparse(exhaustive);
    if (!exhaustive) bound_frequent();
    guessing_ = !exhaustive;
    run_dense();
    if (!guess_failed()) return;
    guessing_ = false;
    if (space_.lists.empty())
      space_.best.start(k, plan_.primed);
    else
      completed_ = guessed_;
    run_dense();
  }

  void score_all(T* scores) {
    n_summed_ = cursors_.size();
    dense_ = true;
    // Lists streamed whole over sums in the last cache beat short pieces over sums in the first one: measured at 1 M.
    if (cursors_.size() > kBlock && space_.totals.size() < std::min(n_docs_, kScores))
      space_.totals.resize(std::min(n_docs_, kScores));
    for (std::size_t begin = 0; begin < n_docs_; begin += kScores) {
      poll_interrupt();
      const std::size_t n = std::min(kScores, n_docs_ - begin);
      T* sums = scores + begin;  // summed where they are wanted
      std::fill_n(sums, n, T(0));
      const bool blocks = sum_window(static_cast<std::uint32_t>(begin), n, sums);
      if (blocks) {
        for (std::size_t i = 0; i < n; ++i) sums[i] = sums[i] + space_.totals[i] + plan_.baseline;
        std::fill_n(space_.totals.begin(), n, T(0));
      } else if (plan_.baseline > 0) {
        for (std::size_t i = 0; i < n; ++i) sums[i] += plan_.baseline;
      }
    }
  }

 private:
  /// Few documents are touched: only those are looked at.
  void run_sparse(bool exhaustive) {
    TopK<T>& best = space_.best;
    rewind();
    for (std::size_t begin = first_document_; begin < last_document_; begin += kWindow) {
      poll_interrupt();
      if (!exhaustive) leave_out(best.threshold());
      const std::uint32_t first = static_cast<std::uint32_t>(begin);
      const bool blocks = sum_window(first, std::min(kWindow, last_document_ - begin), space_.sums.data());
      const std::size_t found = collect_touched(first, blocks);
      if (n_summed_ == cursors_.size())
        push(found, blocks);
      else
        complete(found, blocks);
    }
  }

  void push(std::size_t found, bool blocks) {
    for (std::size_t i = 0; i < found; ++i) {
      if (static_cast<std::int64_t>(space_.documents[i]) == excluded_) continue;
      space_.best.push(space_.found_sums[i] + (blocks ? space_.found_totals[i] : T(0)) + plan_.baseline,
                       space_.documents[i]);
    }
  }

  void rewind() {
    for (Cursor& c : cursors_)
      c.position = first_document_ == 0 ? 0 : static_cast<std::size_t>(
          std::lower_bound(c.documents, c.documents + c.n, first_document_) - c.documents);
  }

  /// Sums the first n_summed_ terms over the window. True: whole blocks are in the totals, the last one in the sums.
  bool sum_window(std::uint32_t first, std::size_t n, T* sums) {
    const std::uint32_t end = first + static_cast<std::uint32_t>(n);
    const bool blocks = n_summed_ > kBlock;
    for (std::size_t i = 0; i < n_summed_; ++i) {
      Cursor& c = cursors_[i];
      if (i > 0 && i % kBlock == 0) {
        poll_interrupt();
        if (i > kBlock) flush(i - kBlock, i, first, n, sums);
      }
      if (i + kAhead < n_summed_) prefetch(cursors_[i + kAhead]);
      c.begin = c.position;
      if (c.position < c.n)
        c.position += kernels_.accumulate(c.documents + c.position, c.impacts + c.position, c.n - c.position, first,
                                          end, c.weight, blocks && i < kBlock ? space_.totals.data() : sums);
    }
    return blocks;
  }

  /// A list's next postings are seldom in the cache: the windows of all other lists came between.
  static void prefetch(const Cursor& c) {
    const std::uint32_t* documents = c.documents + c.position;
    const T* impacts = c.impacts + c.position;
    for (std::size_t i = 0; i < kLinesAhead; ++i) {
      __builtin_prefetch(documents + 16 * i);
      __builtin_prefetch(reinterpret_cast<const char*>(impacts) + 64 * i);
    }
  }

  void flush(std::size_t from, std::size_t to, std::uint32_t first, std::size_t n, T* sums) {
    if (dense_) return kernels_.flush(sums, space_.totals.data(), n);
    for (std::size_t i = from; i < to; ++i)
      kernels_.flush_at(cursors_[i].documents + cursors_[i].begin, cursors_[i].position - cursors_[i].begin, first,
                        sums, space_.totals.data());
  }

  std::size_t collect_touched(std::uint32_t first, bool blocks) {
    const T bound = lower_bound(space_.best.threshold());
    std::size_t touched = 0, found = 0;
    for (std::size_t i = 0; i < n_summed_; ++i) touched += cursors_[i].position - cursors_[i].begin;
    space_.reserve_found(touched);
    for (std::size_t i = 0; i < n_summed_; ++i) {
      const Cursor& c = cursors_[i];
      found += kernels_.collect_at(c.documents + c.begin, c.position - c.begin, first, bound, space_.sums.data(),
                                   blocks ? space_.totals.data() : nullptr, space_.documents.data() + found,
                                   space_.found_sums.data() + found, space_.found_totals.data() + found);
    }
    return found;
  }

  /// Sums at or below this cannot reach the threshold.
  T lower_bound(T threshold) const {
    const double rest = static_cast<double>(threshold) * (1 - slack_) -
                        (static_cast<double>(plan_.baseline) + left_out_) * (1 + slack_);
    return rest > 0 ? static_cast<T>(rest * (1 - slack_)) : T(0);
  }

  /// Moves terms from the end of the sum to the left-out ones as far as the threshold allows.
  void leave_out(T threshold) {
    const double budget = kExclusion * (static_cast<double>(threshold) - static_cast<double>(plan_.baseline));
    while (n_summed_ > 1) {
      const Cursor& last = cursors_[n_summed_ - 1];
      if (last.n < kMinList || left_out_ + last.bound > budget) return;
      left_out_ += last.bound;
      --n_summed_;
    }
  }

  /// Takes the frequent terms at the end of the sum by their bounds, where that is cheaper.
  void bound_frequent() {
    space_.lists.clear();
    std::size_t from = cursors_.size();
    T least = 0, most = 0;
    while (from > 0 && cursors_[from - 1].nibbles.nibbles != nullptr && cursors_[from - 1].n > kWorthBounds * k_) {
      const T weight = cursors_[from - 1].weight;
      const T low = least > 0 ? std::min(least, weight) : weight, high = std::max(most, weight);
      if (high > kMostRepeats * low || cursors_.size() - from >= kMostBounded) break;
      least = low;
      most = high;
      --from;
    }
    if (from == cursors_.size()) return;
    n_summed_ = from;
    bound_scale_ = static_cast<T>(plan_.nibble_scale * static_cast<double>(least) * (1 + slack_));
    // A weight counts as the next whole multiple of the least one.
    for (std::size_t t = from; t < cursors_.size(); ++t) {
      const auto repeats = static_cast<std::size_t>(std::ceil(cursors_[t].weight / least));
      space_.lists.insert(space_.lists.end(), repeats, cursors_[t].nibbles.nibbles);
    }
  }

  /// Many documents are touched: all are looked at, in small steps at first, as the threshold rises fast.
  void run_dense() {
    rewind();
    scanned_ = 0;
    enough_ = kLeastGathered;
    promising_ = lower_bound(space_.best.threshold());
    std::size_t step = kFirst;
    for (std::size_t begin = first_document_; begin < last_document_; begin += kWindow) {
      poll_interrupt();
      const std::size_t n = std::min(kWindow, last_document_ - begin);
      const bool blocks = sum_window(static_cast<std::uint32_t>(begin), n, space_.sums.data());
      for (std::size_t at = 0; at < n; at += std::exchange(step, std::min(2 * step, kMost))) {
        const std::size_t n_here = std::min(step, n - at);
        scanned_ += n_here;
        if (space_.lists.empty())
          gather_sums(static_cast<std::uint32_t>(begin), at, n_here, blocks);
        else
          gather_bounds(static_cast<std::uint32_t>(begin), at, n_here, blocks);
      }
    }
    if (!space_.lists.empty()) complete_all();
  }

  /// How many of the documents seen a guess keeps, so that the whole range will give `surplus` for each of the k best:
  /// the expected number, and a margin for chance.
  std::size_t kept_by_guess(double surplus) const {
    const double seen = static_cast<double>(scanned_) / static_cast<double>(last_document_ - first_document_);
    const double expected = surplus * static_cast<double>(k_) * seen;
    return static_cast<std::size_t>(expected + 4 * std::sqrt(expected)) + 16;
  }

  /// Whether documents were dropped that may be among the k best after all.
  bool guess_failed() {
    if (!guessing_) return false;
    if (space_.lists.empty()) return space_.best.guessed() && space_.best.size() < k_;
    return guessed_ > lower_bound(space_.best.threshold());
  }

  /// Pushes those of the window's documents [at, at + n) whose sums are enough.
  void gather_sums(std::uint32_t window, std::size_t at, std::size_t n, bool blocks) {
    TopK<T>& best = space_.best;
    const std::size_t found = kernels_.collect(
        space_.sums.data() + at, blocks ? space_.totals.data() + at : nullptr, n,
        window + static_cast<std::uint32_t>(at), lower_bound(best.threshold()), space_.documents.data(),
        space_.found_sums.data(), space_.found_totals.data());
    push(found, blocks);
    if (!guessing_ || best.size() < enough_) return;
    const std::size_t kept = kept_by_guess(kSurplus);
    best.guess(kept);
    enough_ = 4 * kept + kLeastGathered;
  }

  /// Keeps those of the window's documents [at, at + n) whose bound promises enough.
  void gather_bounds(std::uint32_t window, std::size_t at, std::size_t n, bool blocks) {
    const std::uint32_t first = window + static_cast<std::uint32_t>(at);
    const std::size_t n_chunks = (n + NibbleList::kChunk - 1) / NibbleList::kChunk;
    space_.lists_here.clear();
    for (const std::uint8_t* list : space_.lists) space_.lists_here.push_back(list + first / NibbleList::kChunk * 64);
    kernel_table().search.sum_nibbles(space_.lists_here.data(), space_.lists_here.size(), n_chunks,
                                      space_.nibble_sums.data());
    const std::size_t found = kernels_.collect_bounded(
        space_.sums.data() + at, blocks ? space_.totals.data() + at : nullptr, space_.nibble_sums.data(), bound_scale_,
        n_chunks * NibbleList::kChunk, first, promising_, space_.documents.data(), space_.found_sums.data(),
        space_.found_totals.data(), space_.found_bounds.data());
    std::vector<Candidate<T>>& candidates = space_.candidates;
    for (std::size_t i = 0; i < found; ++i) {
      if (static_cast<std::int64_t>(space_.documents[i]) == excluded_ || space_.found_bounds[i] > completed_) continue;
      candidates.push_back({space_.found_bounds[i], space_.found_sums[i], blocks ? space_.found_totals[i] : T(0),
                            space_.documents[i]});
    }
    if (candidates.size() < enough_) return;
    if (guessing_) {
      const std::size_t kept = std::min(kept_by_guess(kSurplusOfBounds), candidates.size() - 1);
      guessed_ = promising_ = split(kept)->bound;
      drop(candidates.begin());
    } else {
      complete_best(k_);
    }
    enough_ = 2 * candidates.size() + kLeastGathered;
  }

  /// The n gathered documents of the largest bounds to the front; returns the one behind them.
  auto split(std::size_t n) {
    std::vector<Candidate<T>>& candidates = space_.candidates;
    const auto rest = candidates.begin() + static_cast<std::ptrdiff_t>(n);
    if (rest != candidates.end())
      std::nth_element(candidates.begin(), rest, candidates.end(),
                       [](const Candidate<T>& a, const Candidate<T>& b) { return a.bound > b.bound; });
    return rest;
  }

  /// Of those from there on, drops the gathered documents that promise too little.
  template <class Iterator>
  void drop(Iterator from) {
    const auto poor = [&](const Candidate<T>& c) { return !(c.bound > promising_); };
    space_.candidates.erase(std::remove_if(from, space_.candidates.end(), poor), space_.candidates.end());
  }

  /// Twice as many each time: where bounds are no help (equal documents), all have to be completed, in linear time.
  void complete_all() {
    complete_best(k_);
    for (std::size_t n = k_ / 4 + 16; !space_.candidates.empty(); n *= 2) complete_best(n);
  }

  /// Completes the n gathered documents of the largest bounds, and drops those that the new threshold rules out.
  void complete_best(std::size_t n) {
    constexpr std::size_t kTogether = 4;  // documents a batch: their look-ups miss the cache together
    std::vector<Candidate<T>>& candidates = space_.candidates;
    n = std::min(n, candidates.size());
    const auto rest = split(n);
    const std::size_t n_left = cursors_.size() - n_summed_;
    space_.impacts.resize(2 * kTogether * n_left);
    const auto impacts_of = [&](std::size_t i) { return space_.impacts.data() + i % (2 * kTogether) * n_left; };
    // In three stages, each a batch ahead of the next: bounds are fetched, impacts found, impacts added.
    for (std::size_t batch = 0; batch < n + 2 * kTogether; batch += kTogether) {
      for (std::size_t i = batch; i < std::min(n, batch + kTogether); ++i)
        for (std::size_t t = n_summed_; t < cursors_.size(); ++t) cursors_[t].nibbles.prefetch(candidates[i].document);
      for (std::size_t i = batch - std::min(batch, 2 * kTogether); i + kTogether < std::min(n + kTogether, batch); ++i)
        add_impacts(candidates[i], impacts_of(i));
      for (std::size_t i = batch - std::min(batch, kTogether); i < std::min(n, batch); ++i)
        find_impacts(candidates[i].document, impacts_of(i));
    }
    space_.best.tighten();
    promising_ = std::max(promising_, lower_bound(space_.best.threshold()));
    drop(rest);
    candidates.erase(candidates.begin(), rest);
  }

  void find_impacts(std::uint32_t document, const T** impact) {
    for (std::size_t t = n_summed_; t < cursors_.size(); ++t, ++impact) {
      const std::size_t at = find(cursors_[t], document);
      *impact = at != cursors_[t].n ? cursors_[t].impacts + at : nullptr;
      __builtin_prefetch(*impact);
    }
  }

  void add_impacts(const Candidate<T>& candidate, const T* const* impact) {
    T sum = candidate.sum, total = candidate.total;
    for (std::size_t t = n_summed_; t < cursors_.size(); ++t, ++impact) {
      if (t % kBlock == 0) {
        total += sum;
        sum = 0;
      }
      if (*impact != nullptr) sum += cursors_[t].weight * **impact;
    }
    space_.best.push(sum + total + plan_.baseline, candidate.document);
  }

  /// Adds the left-out terms to the found documents' sums, and keeps those that still reach the threshold.
  void complete(std::size_t found, bool blocks) {
    TopK<T>& best = space_.best;
    for (std::size_t i = 0; i < found; ++i) {
      const std::uint32_t document = space_.documents[i];
      if (static_cast<std::int64_t>(document) == excluded_) continue;
      T sum = space_.found_sums[i], total = blocks ? space_.found_totals[i] : T(0);
      const double needed =
          (static_cast<double>(best.threshold()) * (1 - slack_) - static_cast<double>(plan_.baseline)) * (1 - slack_);
      double rest = left_out_;
      bool reaches = true;
      for (std::size_t t = n_summed_; t < cursors_.size(); ++t) {
        if (static_cast<double>(sum) + static_cast<double>(total) + rest < needed) {
          reaches = false;
          break;
        }
        const Cursor& c = cursors_[t];
        rest -= c.bound;
        if (t % kBlock == 0) {
          total += sum;
          sum = 0;
        }
        const std::size_t at = find(c, document);
        if (at != c.n) sum += c.weight * c.impacts[at];
      }
      if (reaches) best.push(sum + total + plan_.baseline, document);
    }
  }

  /// Position of the document in the list, or its length.
  static std::size_t find(const Cursor& c, std::uint32_t document) {
    if (c.nibbles.nibbles != nullptr) return c.nibbles.get(document) != 0 ? c.nibbles.rank(document) : c.n;
    const std::uint32_t* base = c.documents;
    for (std::size_t n = c.n; n > 1;) {  // without branches
      const std::size_t half = n / 2;
      base += base[half] <= document ? half : 0;
      n -= half;
    }
    return *base == document ? static_cast<std::size_t>(base - c.documents) : c.n;
  }

  typename Engine_::Plan& plan_;
  std::vector<Cursor>& cursors_;
  std::size_t n_docs_, n_summed_ = 0, k_ = 0, first_document_ = 0, last_document_ = 0;
  std::int64_t excluded_ = -1;
  bool dense_;
  bool guessing_ = false;
  T guessed_ = 0;                          // bounds at or below are guessed not to reach the k best
  T promising_ = 0;                        // and above: those cannot, or are guessed not to
  T completed_ = std::numeric_limits<T>::infinity();  // documents of a bound above this need not be looked at again
  T bound_scale_ = 0;
  std::size_t scanned_ = 0, enough_ = 0;   // documents looked at; gathered ones that call for a new guess
  double left_out_ = 0, slack_ = 0;
  const kernels::ScoreKernels<T>& kernels_;
  Workspace<T>& space_;
  friend class Engine<T>;
};

}  // namespace likewise::search
