// Queries: documents are taken in windows, a window's sums lie in the cache. Terms go in canonical order (engine.hpp).
// The longest lists, which come last, are not summed where a bound will do. Where many documents are touched, frequent
// terms enter by their four-bit bounds (frequent.hpp); where few are, lists are left out whole as soon as the k best so
// far promise more than all of them together (MaxScore: Turtle and Flood 1995). Either way the documents that may still
// reach the k best are completed: the same sum goes on in the same order, so no result depends on the choice.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "core/dispatch.hpp"
#include "core/search/engine.hpp"
#include "core/search/top_k.hpp"
#include "core/thread_pool.hpp"

namespace likewise::search {
namespace {

constexpr std::size_t kBlock = 64;  // terms summed from zero before they join the total: keeps long sums within 1e-6
constexpr std::size_t kWide = 65536, kNarrow = 8192, kFirst = 512, kScores = 1 << 20;
constexpr std::size_t kDense = 8;       // narrow windows, read whole, from one posting in kDense documents up
constexpr double kExclusion = 0.5;      // share of the threshold that left-out terms may make up together
constexpr std::size_t kAhead = 3, kLinesAhead = 16;
constexpr std::size_t kWorthThreads = 200000;  // postings, about 0.1 ms
constexpr std::size_t kMinList = 128;   // shorter lists are not worth leaving out
constexpr std::size_t kMostRepeats = 16, kMostBounded = 256;  // together below what 16-bit sums hold
constexpr std::size_t kWorthBounds = 100;  // postings a list and document sought: several are completed for each, and
                                           // a look-up costs what some 30 postings do

template <class T>
const kernels::ScoreKernels<T>& score_kernels();
template <>
const kernels::ScoreKernels<float>& score_kernels<float>() {
  return kernel_table().search.f32;
}
template <>
const kernels::ScoreKernels<double>& score_kernels<double>() {
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
  std::vector<T> sums = std::vector<T>(kWide), totals = std::vector<T>(kWide);
  std::vector<std::uint32_t> documents = std::vector<std::uint32_t>(kWide + 16);
  std::vector<T> found_sums = std::vector<T>(kWide + 16), found_totals = std::vector<T>(kWide + 16);
  std::vector<T> found_bounds = std::vector<T>(kNarrow + 16);
  std::vector<std::uint16_t> nibble_sums = std::vector<std::uint16_t>(kNarrow);
  std::vector<const std::uint8_t*> lists, lists_here;
  std::vector<Candidate<T>> candidates;
  std::vector<const T*> impacts;
  TopK<T> best;
  bool dirty = false;

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

}  // namespace

template <class T>
class Search {
 public:
  using Engine_ = Engine<T>;
  using Cursor = typename Engine_::Cursor;

  Search(typename Engine_::Plan& plan, std::size_t n_docs, Workspace<T>& space)
      : plan_(plan), cursors_(plan.cursors), n_docs_(n_docs), kernels_(score_kernels<T>()), space_(space) {
    dense_ = plan.n_postings * kDense >= n_docs;
    width_ = dense_ ? kNarrow : kWide;
  }

  /// The k best of the documents [first_document, last_document), where a window may begin at the first.
  void run(std::size_t k, Method method, std::int64_t excluded, std::size_t first_document, std::size_t last_document) {
    if (first_document > 0)
      for (Cursor& c : cursors_)
        c.position = static_cast<std::size_t>(std::lower_bound(c.documents, c.documents + c.n, first_document) - c.documents);
    TopK<T>& best = space_.best;
    best.start(k, method == Method::exhaustive ? T(0) : plan_.primed);
    k_ = k;
    excluded_ = excluded;
    n_summed_ = cursors_.size();
    // Partial sums and their bounds carry at most this relative rounding error.
    slack_ = 2.0 * static_cast<double>(cursors_.size() + 4) * static_cast<double>(std::numeric_limits<T>::epsilon());
    if (method != Method::exhaustive && dense_) bound_frequent();
    if (!space_.lists.empty()) return run_bounded(first_document, last_document);
    for (std::size_t begin = first_document; begin < last_document; begin += width_) {
      poll_interrupt();
      if (method != Method::exhaustive && !dense_) leave_out(best.threshold());
      const std::uint32_t first = static_cast<std::uint32_t>(begin);
      const std::size_t n = std::min(width_, last_document - begin);
      const bool blocks = sum_window(first, n, space_.sums.data());
      const std::size_t found = collect(first, n, blocks, lower_bound(best.threshold()));
      if (n_summed_ == cursors_.size()) {
        for (std::size_t i = 0; i < found; ++i) {
          if (static_cast<std::int64_t>(space_.documents[i]) == excluded) continue;
          best.push(space_.found_sums[i] + (blocks ? space_.found_totals[i] : T(0)) + plan_.baseline, space_.documents[i]);
        }
      } else {
        complete(found, blocks);
      }
    }
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
  /// Sums the first n_summed_ terms over the window. True: whole blocks are in the totals, the last one in the sums.
  bool sum_window(std::uint32_t first, std::size_t n, T* sums) {
    const std::uint32_t end = first + static_cast<std::uint32_t>(n);
    bool blocks = false;
    for (std::size_t i = 0; i < n_summed_; ++i) {
      Cursor& c = cursors_[i];
      if (i > 0 && i % kBlock == 0) {
        poll_interrupt();
        flush(i - kBlock, i, first, n, sums);
        blocks = true;
      }
      if (i + kAhead < n_summed_) prefetch(cursors_[i + kAhead]);
      c.begin = c.position;
      if (c.position < c.n)
        c.position += kernels_.accumulate(c.documents + c.position, c.impacts + c.position, c.n - c.position, first, end,
                                          c.weight, sums);
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

  std::size_t collect(std::uint32_t first, std::size_t n, bool blocks, T bound) {
    T* totals = blocks ? space_.totals.data() : nullptr;
    if (dense_)
      return kernels_.collect(space_.sums.data(), totals, n, first, bound, space_.documents.data(),
                              space_.found_sums.data(), space_.found_totals.data());
    std::size_t found = 0;
    for (std::size_t i = 0; i < n_summed_; ++i) {
      const Cursor& c = cursors_[i];
      found += kernels_.collect_at(c.documents + c.begin, c.position - c.begin, first, bound, space_.sums.data(), totals,
                                   space_.documents.data() + found, space_.found_sums.data() + found,
                                   space_.found_totals.data() + found);
    }
    return found;
  }

  /// Sums at or below this cannot reach the threshold.
  T lower_bound(T threshold) const {
    const double rest = static_cast<double>(threshold) * (1 - slack_) - static_cast<double>(plan_.baseline) * (1 + slack_) -
                        left_out_ * (1 + slack_);
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
    promising_ = lower_bound(space_.best.threshold());
    // A weight counts as the next whole multiple of the least one.
    for (std::size_t t = from; t < cursors_.size(); ++t) {
      const auto repeats = static_cast<std::size_t>(std::ceil(cursors_[t].weight / least));
      space_.lists.insert(space_.lists.end(), repeats, cursors_[t].nibbles.nibbles);
    }
    enough_ = 16 * k_ + 64;
  }

  /// The lists that are summed are short now: in wide windows. What the bounds promise is looked at in small steps, as
  /// the threshold rises fast at first.
  void run_bounded(std::size_t first_document, std::size_t last_document) {
    std::size_t step = kFirst;
    for (std::size_t begin = first_document; begin < last_document; begin += kWide) {
      poll_interrupt();
      const std::size_t n = std::min(kWide, last_document - begin);
      const bool blocks = sum_window(static_cast<std::uint32_t>(begin), n, space_.sums.data());
      for (std::size_t at = 0; at < n; at += std::exchange(step, std::min(2 * step, kNarrow)))
        gather(static_cast<std::uint32_t>(begin), at, std::min(step, n - at), blocks);
    }
    complete_best(k_);
    // Twice as many each time: where bounds are no help (equal documents), all have to be completed, in linear time.
    for (std::size_t n = k_ / 4 + 16; !space_.candidates.empty(); n *= 2) complete_best(n);
  }

  /// Keeps those of the window's documents [at, at + n) whose bound promises enough.
  void gather(std::uint32_t window, std::size_t at, std::size_t n, bool blocks) {
    const std::uint32_t first = window + static_cast<std::uint32_t>(at);
    const std::size_t n_chunks = (n + NibbleList::kChunk - 1) / NibbleList::kChunk;
    space_.lists_here.clear();
    for (const std::uint8_t* list : space_.lists) space_.lists_here.push_back(list + first / NibbleList::kChunk * 64);
    kernel_table().search.sum_nibbles(space_.lists_here.data(), space_.lists_here.size(), n_chunks, space_.nibble_sums.data());
    const std::size_t found = kernels_.collect_bounded(
        space_.sums.data() + at, blocks ? space_.totals.data() + at : nullptr, space_.nibble_sums.data(), bound_scale_,
        n_chunks * NibbleList::kChunk, first, promising_, space_.documents.data(), space_.found_sums.data(),
        space_.found_totals.data(), space_.found_bounds.data());
    std::vector<Candidate<T>>& candidates = space_.candidates;
    for (std::size_t i = 0; i < found; ++i) {
      if (static_cast<std::int64_t>(space_.documents[i]) == excluded_) continue;
      candidates.push_back({space_.found_bounds[i], space_.found_sums[i], blocks ? space_.found_totals[i] : T(0), space_.documents[i]});
    }
    if (candidates.size() < enough_) return;
    complete_best(k_);
    enough_ = std::max(8 * k_ + 64, 2 * candidates.size());
  }

  /// Completes the n gathered documents of the largest bounds, and drops those that the new threshold rules out.
  void complete_best(std::size_t n) {
    constexpr std::size_t kTogether = 4;  // documents a batch: their look-ups miss the cache together
    std::vector<Candidate<T>>& candidates = space_.candidates;
    n = std::min(n, candidates.size());
    const auto rest = candidates.begin() + static_cast<std::ptrdiff_t>(n);
    if (rest != candidates.end())
      std::nth_element(candidates.begin(), rest, candidates.end(),
                       [](const Candidate<T>& a, const Candidate<T>& b) { return a.bound > b.bound; });
    space_.impacts.resize(kTogether * (cursors_.size() - n_summed_));
    for (std::size_t begin = 0; begin < n; begin += kTogether) {
      const std::size_t end = std::min(n, begin + kTogether);
      for (std::size_t i = begin; i < end; ++i)
        for (std::size_t t = n_summed_; t < cursors_.size(); ++t) cursors_[t].nibbles.prefetch(candidates[i].document);
      const T** impact = space_.impacts.data();
      for (std::size_t i = begin; i < end; ++i)
        for (std::size_t t = n_summed_; t < cursors_.size(); ++t, ++impact) {
          const std::size_t at = find(cursors_[t], candidates[i].document);
          *impact = at != cursors_[t].n ? cursors_[t].impacts + at : nullptr;
          __builtin_prefetch(*impact);
        }
      impact = space_.impacts.data();
      for (std::size_t i = begin; i < end; ++i) {
        T sum = candidates[i].sum, total = candidates[i].total;
        for (std::size_t t = n_summed_; t < cursors_.size(); ++t, ++impact) {
          if (t % kBlock == 0) {
            total += sum;
            sum = 0;
          }
          if (*impact != nullptr) sum += cursors_[t].weight * **impact;
        }
        space_.best.push(sum + total + plan_.baseline, candidates[i].document);
      }
    }
    space_.best.tighten();
    promising_ = lower_bound(space_.best.threshold());
    const auto kept = std::remove_if(rest, candidates.end(), [&](const Candidate<T>& c) { return !(c.bound > promising_); });
    candidates.erase(kept, candidates.end());
    candidates.erase(candidates.begin(), rest);
  }

  /// Adds the left-out terms to the found documents' sums, and keeps those that still reach the threshold.
  void complete(std::size_t found, bool blocks) {
    TopK<T>& best = space_.best;
    for (std::size_t i = 0; i < found; ++i) {
      const std::uint32_t document = space_.documents[i];
      if (static_cast<std::int64_t>(document) == excluded_) continue;
      T sum = space_.found_sums[i], total = blocks ? space_.found_totals[i] : T(0);
      const double needed = (static_cast<double>(best.threshold()) * (1 - slack_) - static_cast<double>(plan_.baseline)) * (1 - slack_);
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
  std::size_t n_docs_, width_, n_summed_ = 0, k_ = 0;
  std::int64_t excluded_ = -1;
  bool dense_;
  T bound_scale_ = 0, promising_ = 0;  // promising: bounds at or below cannot reach the k best
  std::size_t enough_ = 0;             // gathered documents, to complete the best of them
  double left_out_ = 0, slack_ = 0;
  const kernels::ScoreKernels<T>& kernels_;
  Workspace<T>& space_;
  friend class Engine<T>;
};

template <class T>
typename Engine<T>::Plan Engine<T>::plan(const Query& query, std::size_t k) const {
  constexpr double kLeast = sizeof(T) == 4 ? 1e-20 : 1e-200;
  derive(query.terms);
  const std::vector<std::uint32_t> order = canonical_order(query);
  Plan plan;
  plan.nibble_scale = frequent_.scale();
  plan.cursors.reserve(order.size());
  plan.baseline = static_cast<T>(baseline(query, order));
  const std::size_t rank = k <= 10 ? 0 : k <= 100 ? 1 : 2;
  double bound = static_cast<double>(plan.baseline);
  for (const std::uint32_t i : order) {
    const std::uint32_t term = query.terms[i];
    const double weight = query.weights[i];
    if (weight == 0 || !(bounds_[term].largest > 0)) continue;
    if (!(weight >= kLeast && weight <= 1 / kLeast))
      throw value_error(sizeof(T) == 4 ? "query: expected weights of 0 or from 1e-20 to 1e20"
                                       : "query: expected weights of 0 or from 1e-200 to 1e200");
    const std::uint64_t begin = segment_.arrays().posting_offsets[term];
    Cursor c;
    c.documents = segment_.arrays().posting_documents.data + begin;
    c.impacts = impacts_.data() + begin;
    c.n = document_frequency(term);
    c.weight = static_cast<T>(query.weights[i]);
    c.nibbles = nibbles_of(term);
    c.bound = static_cast<double>(c.weight * bounds_[term].largest);
    bound += c.bound;
    plan.n_postings += c.n;
    if (k <= 1000) plan.primed = std::max(plan.primed, c.weight * bounds_[term].at_least(rank) + plan.baseline);
    plan.cursors.push_back(c);
  }
  if (!(bound < static_cast<double>(std::numeric_limits<T>::max())))
    throw value_error("query: expected weights whose scores stay finite");
  return plan;
}

template <class T>
T Engine<T>::canonical(const Plan& plan, std::uint32_t document) const {
  T sum = 0, total = 0;
  for (std::size_t i = 0; i < plan.cursors.size(); ++i) {
    if (i % kBlock == 0) {
      total += sum;
      sum = 0;
    }
    const Cursor& c = plan.cursors[i];
    const std::size_t at = Search<T>::find(c, document);
    if (at != c.n) sum += c.weight * c.impacts[at];
  }
  return sum + total + plan.baseline;
}

template <class T>
std::size_t Engine<T>::search(const Query& query, std::size_t k, Method method, std::int64_t excluded,
                              unsigned n_threads, std::int64_t* documents, void* scores) const {
  k = std::min<std::size_t>(k, statistics_.n_docs);
  Plan plan = this->plan(query, k);
  if (k == 0 || plan.cursors.empty()) return 0;
  using Keys = std::vector<typename TopK<T>::Value>;
  const auto best_of = [&](Plan& own_plan, std::size_t begin, std::size_t end) -> const Keys& {
    Workspace<T>& space = workspace<T>();
    space.begin();
    Search<T>(own_plan, statistics_.n_docs, space).run(k, method, excluded, begin, end);
    space.dirty = false;
    return space.best.finish();
  };
  const auto write = [&](const Keys& best) {
    const std::size_t n = std::min(k, best.size());
    for (std::size_t i = 0; i < n; ++i) {
      documents[i] = TopK<T>::document(best[i]);
      static_cast<T*>(scores)[i] = TopK<T>::score(best[i]);
    }
    return n;
  };
  // Ranges of whole wide windows, a few a thread; few postings are not worth waking anybody.
  const std::size_t n_windows = (statistics_.n_docs + kWide - 1) / kWide;
  if (n_threads <= 1 || n_windows < 2 || plan.n_postings < kWorthThreads)
    return write(best_of(plan, 0, statistics_.n_docs));
  const std::size_t n_ranges = std::min<std::size_t>(n_windows, 2 * std::size_t{n_threads});
  std::vector<Keys> found(n_ranges);
  parallel_for(n_ranges, n_threads, [&](std::size_t i) {
    Plan own_plan = plan;
    const auto border = [&](std::size_t j) { return std::min<std::size_t>(statistics_.n_docs, n_windows * j / n_ranges * kWide); };
    found[i] = best_of(own_plan, border(i), border(i + 1));
  });
  Keys all;
  for (const Keys& keys : found) all.insert(all.end(), keys.begin(), keys.end());
  std::sort(all.begin(), all.end(), std::greater<>());
  return write(all);
}

template <class T>
void Engine<T>::score_all(const Query& query, void* scores) const {
  Plan plan = this->plan(query, 0);
  Workspace<T>& space = workspace<T>();
  space.begin();
  Search<T>(plan, statistics_.n_docs, space).score_all(static_cast<T*>(scores));
  space.dirty = false;
}

template <class T>
void Engine<T>::score_some(const Query& query, span<const std::int64_t> documents, void* scores) const {
  const Plan plan = this->plan(query, 0);
  for (std::size_t i = 0; i < documents.size; ++i)
    static_cast<T*>(scores)[i] = canonical(plan, static_cast<std::uint32_t>(documents[i]));
}

#define LIKEWISE_INSTANTIATE(T)                                                                                        \
  template Engine<T>::Plan Engine<T>::plan(const Query&, std::size_t) const;                                          \
  template T Engine<T>::canonical(const Plan&, std::uint32_t) const;                                                  \
  template std::size_t Engine<T>::search(const Query&, std::size_t, Method, std::int64_t, unsigned, std::int64_t*,   \
                                                void*) const;                                                         \
  template void Engine<T>::score_all(const Query&, void*) const;                                                      \
  template void Engine<T>::score_some(const Query&, span<const std::int64_t>, void*) const;
LIKEWISE_INSTANTIATE(float)
LIKEWISE_INSTANTIATE(double)
#undef LIKEWISE_INSTANTIATE

}  // namespace likewise::search
