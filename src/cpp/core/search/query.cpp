// Queries, from terms and weights to hits: what is decided once a query. The work on postings is in retrieval.hpp.
#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "core/search/engine.hpp"
#include "core/search/retrieval.hpp"
#include "core/thread_pool.hpp"

namespace likewise::search {
namespace {

constexpr std::size_t kWorthThreads = 200000;  // postings, about 0.1 ms

}  // namespace

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
    const std::size_t at = Retrieval<T>::find(c, document);
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
    Retrieval<T>(own_plan, statistics_.n_docs, space).run(k, method, excluded, begin, end);
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
  // Ranges of whole windows, a few a thread; few postings are not worth waking anybody.
  const std::size_t n_windows = (statistics_.n_docs + kWindow - 1) / kWindow;
  if (n_threads <= 1 || n_windows < 2 || plan.n_postings < kWorthThreads)
    return write(best_of(plan, 0, statistics_.n_docs));
  const std::size_t n_ranges = std::min<std::size_t>(n_windows, 2 * std::size_t{n_threads});
  std::vector<Keys> found(n_ranges);
  parallel_for(n_ranges, n_threads, [&](std::size_t i) {
    Plan own_plan = plan;
    const auto border = [&](std::size_t j) {
      return std::min<std::size_t>(statistics_.n_docs, n_windows * j / n_ranges * kWindow);
    };
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
  Retrieval<T>(plan, statistics_.n_docs, space).score_all(static_cast<T*>(scores));
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
