// Queries: documents are taken in windows, a window's sums lie in the cache. Terms go in canonical order (engine.hpp).
// Once the k best so far promise enough, the longest lists are left out: a document that holds none of the other
// terms cannot reach the threshold, and the few that might are completed by looking the left-out terms up (MaxScore:
// Turtle and Flood 1995). Completion continues the same sum in the same order, so no result depends on it.
#include <algorithm>
#include <limits>
#include <string>

#include "core/dispatch.hpp"
#include "core/search/engine.hpp"
#include "core/search/top_k.hpp"
#include "core/thread_pool.hpp"

namespace likewise::search {
namespace {

constexpr std::size_t kBlock = 32;  // terms summed from zero before they join the total: keeps long sums within 1e-6
constexpr std::size_t kWide = 65536, kNarrow = 8192;
constexpr std::size_t kDense = 8;       // narrow windows, read whole, from one posting in kDense documents up
constexpr double kExclusion = 0.5;      // share of the threshold that left-out terms may make up together
constexpr std::size_t kAhead = 3, kLinesAhead = 16;
constexpr std::size_t kMinList = 128;   // shorter lists are not worth leaving out

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

/// What a thread needs to answer one query after the other. The sums are all zero between queries.
template <class T>
struct Workspace {
  std::vector<T> sums = std::vector<T>(kWide), totals = std::vector<T>(kWide);
  std::vector<std::uint32_t> documents = std::vector<std::uint32_t>(kWide + 16);
  std::vector<T> found_sums = std::vector<T>(kWide + 16), found_totals = std::vector<T>(kWide + 16);
  TopK<T> best;
  bool dirty = false;

  void begin() {
    if (dirty) {  // an exception ended the query before
      std::fill(sums.begin(), sums.end(), T(0));
      std::fill(totals.begin(), totals.end(), T(0));
    }
    dirty = true;
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

  void run(std::size_t k, Method method, std::int64_t excluded) {
    TopK<T>& best = space_.best;
    best.start(k, method == Method::exhaustive ? T(0) : plan_.primed);
    n_summed_ = cursors_.size();
    // Partial sums and their bounds carry at most this relative rounding error.
    slack_ = 2.0 * static_cast<double>(cursors_.size() + 4) * static_cast<double>(std::numeric_limits<T>::epsilon());
    for (std::size_t begin = 0; begin < n_docs_; begin += width_) {
      poll_interrupt();
      if (method != Method::exhaustive) leave_out(best.threshold());
      const std::uint32_t first = static_cast<std::uint32_t>(begin);
      const std::size_t n = std::min(width_, n_docs_ - begin);
      const bool blocks = sum_window(first, n);
      const std::size_t found = collect(first, n, blocks, lower_bound(best.threshold()));
      if (n_summed_ == cursors_.size()) {
        for (std::size_t i = 0; i < found; ++i) {
          if (static_cast<std::int64_t>(space_.documents[i]) == excluded) continue;
          best.push(space_.found_sums[i] + (blocks ? space_.found_totals[i] : T(0)) + plan_.baseline, space_.documents[i]);
        }
      } else {
        complete(found, blocks, excluded);
      }
    }
  }

  void score_all(T* scores) {
    n_summed_ = cursors_.size();
    width_ = kNarrow;
    for (std::size_t begin = 0; begin < n_docs_; begin += width_) {
      poll_interrupt();
      const std::uint32_t first = static_cast<std::uint32_t>(begin);
      const std::size_t n = std::min(width_, n_docs_ - begin);
      const bool blocks = sum_window(first, n);
      for (std::size_t i = 0; i < n; ++i) {
        scores[begin + i] = space_.sums[i] + (blocks ? space_.totals[i] : T(0)) + plan_.baseline;
        space_.sums[i] = 0;
      }
      if (blocks) std::fill_n(space_.totals.begin(), n, T(0));
    }
  }

 private:
  /// Sums the first n_summed_ terms over the window. True: whole blocks are in the totals, the last one in the sums.
  bool sum_window(std::uint32_t first, std::size_t n) {
    const std::uint32_t end = first + static_cast<std::uint32_t>(n);
    bool blocks = false;
    for (std::size_t i = 0; i < n_summed_; ++i) {
      Cursor& c = cursors_[i];
      if (i > 0 && i % kBlock == 0) {
        flush(i - kBlock, i, first, n);
        blocks = true;
      }
      if (i + kAhead < n_summed_) prefetch(cursors_[i + kAhead]);
      c.begin = c.position;
      if (c.position < c.n)
        c.position += kernels_.accumulate(c.documents + c.position, c.impacts + c.position, c.n - c.position, first, end,
                                          c.weight, space_.sums.data());
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

  void flush(std::size_t from, std::size_t to, std::uint32_t first, std::size_t n) {
    if (dense_) return kernels_.flush(space_.sums.data(), space_.totals.data(), n);
    for (std::size_t i = from; i < to; ++i)
      kernels_.flush_at(cursors_[i].documents + cursors_[i].begin, cursors_[i].position - cursors_[i].begin, first,
                        space_.sums.data(), space_.totals.data());
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

  /// Adds the left-out terms to the found documents' sums, and keeps those that still reach the threshold.
  void complete(std::size_t found, bool blocks, std::int64_t excluded) {
    TopK<T>& best = space_.best;
    for (std::size_t i = 0; i < found; ++i) {
      const std::uint32_t document = space_.documents[i];
      if (static_cast<std::int64_t>(document) == excluded) continue;
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
        const std::uint32_t* at = find(c, document);
        if (at != nullptr) sum += c.weight * c.impacts[at - c.documents];
      }
      if (reaches) best.push(sum + total + plan_.baseline, document);
    }
  }

  /// Branch-free binary search.
  static const std::uint32_t* find(const Cursor& c, std::uint32_t document) {
    const std::uint32_t* base = c.documents;
    std::size_t n = c.n;
    while (n > 1) {
      const std::size_t half = n / 2;
      base += base[half] <= document ? half : 0;
      n -= half;
    }
    return *base == document ? base : nullptr;
  }

  typename Engine_::Plan& plan_;
  std::vector<Cursor>& cursors_;
  std::size_t n_docs_, width_, n_summed_ = 0;
  bool dense_;
  double left_out_ = 0, slack_ = 0;
  const kernels::ScoreKernels<T>& kernels_;
  Workspace<T>& space_;
  friend class Engine<T>;
};

template <class T>
typename Engine<T>::Plan Engine<T>::plan(const Query& query, std::size_t k) const {
  constexpr double kLeast = sizeof(T) == 4 ? 1e-20 : 1e-200;
  derive(query.terms);
  std::vector<std::uint32_t> order;
  order.reserve(query.terms.size());
  for (std::uint32_t i = 0; i < query.terms.size(); ++i) {
    const double weight = query.weights[i];
    if (weight == 0 || !(bounds_[query.terms[i]].largest > 0)) continue;
    if (!(weight >= kLeast && weight <= 1 / kLeast))
      throw value_error("query: expected weights of 0 or between " + std::to_string(kLeast) + " and its inverse");
    order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    const std::uint32_t da = document_frequency(query.terms[a]), db = document_frequency(query.terms[b]);
    return da != db ? da < db : query.terms[a] < query.terms[b];
  });
  Plan plan;
  plan.cursors.reserve(order.size());
  plan.baseline = static_cast<T>(baseline(query));
  const std::size_t rank = k <= 10 ? 0 : k <= 100 ? 1 : 2;
  double bound = static_cast<double>(plan.baseline);
  for (const std::uint32_t i : order) {
    const std::uint32_t term = query.terms[i];
    const std::uint64_t begin = segment_.arrays().posting_offsets[term];
    Cursor c;
    c.documents = segment_.arrays().posting_documents.data + begin;
    c.impacts = impacts_.data() + begin;
    c.n = document_frequency(term);
    c.weight = static_cast<T>(query.weights[i]);
    c.bound = static_cast<double>(c.weight * bounds_[term].largest);
    bound += c.bound;
    plan.n_postings += c.n;
    if (k <= 1000) plan.primed = std::max(plan.primed, c.weight * bounds_[term].at_least[rank] + plan.baseline);
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
    const std::uint32_t* at = Search<T>::find(c, document);
    if (at != nullptr) sum += c.weight * c.impacts[at - c.documents];
  }
  return sum + total + plan.baseline;
}

template <class T>
std::size_t Engine<T>::search(const Query& query, std::size_t k, Method method, std::int64_t excluded,
                              unsigned n_threads, std::int64_t* documents, void* scores) const {
  static_cast<void>(n_threads);
  k = std::min<std::size_t>(k, statistics_.n_docs);
  Plan plan = this->plan(query, k);
  if (k == 0 || plan.cursors.empty()) return 0;
  Workspace<T>& space = workspace<T>();
  space.begin();
  Search<T> search(plan, statistics_.n_docs, space);
  search.run(k, method, excluded);
  space.dirty = false;
  const std::vector<Key<T>>& best = space.best.finish();
  for (std::size_t i = 0; i < best.size(); ++i) {
    documents[i] = best[i].document();
    static_cast<T*>(scores)[i] = best[i].score();
  }
  return best.size();
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
