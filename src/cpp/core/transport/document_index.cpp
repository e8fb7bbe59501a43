#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "core/thread_pool.hpp"
#include "core/transport/documents.hpp"

namespace likewise::transport {
namespace {

constexpr std::size_t kBlock = 256;  // words or documents that are one piece of work
constexpr int kSweeps = 12;
// The regularisation of a better bound, relative to the first one: smaller is sharper at last, and slower to get there.
constexpr double kEpsilon = 0.08;

/// A document that may be among the nearest.
struct Candidate {
  double bound;         // no less is its distance
  double ready;         // the next bound, or the distance, where it has been computed ahead of its turn; else negative
  std::uint32_t number;
  bool refined;         // next comes the distance itself
};

/// Whether x comes after y: by bound, then refined ones first (they may end the search), then by number.
bool comes_after(const Candidate& x, const Candidate& y) {
  if (x.bound != y.bound) return x.bound > y.bound;
  if (x.refined != y.refined) return y.refined;
  return x.number > y.number;
}

struct Hit {
  double distance;
  std::uint32_t number;
};
bool is_nearer(const Hit& x, const Hit& y) {
  return x.distance != y.distance ? x.distance < y.distance : x.number < y.number;
}

std::size_t blocks(std::size_t n) { return (n + kBlock - 1) / kBlock; }

/// All distances between the words of a query and those of the documents.
template <class T>
struct Table {
  std::unique_ptr<T[]> distances, nearest;
  T largest = 0;

  Table(const typename DocumentIndex<T>::Arrays& index, const QueryColumns<T>& query, unsigned n_threads)
      : nearest(new T[index.terms.size]) {
    const std::size_t n = index.terms.size;
    if (n > std::numeric_limits<std::size_t>::max() / 4 / sizeof(T) / query.stride)
      throw value_error("query: expected a table of distances that fits into memory, got one of " + std::to_string(n) +
                        " by " + std::to_string(query.n));
    distances.reset(new T[n * query.stride]);
    std::vector<T> found(blocks(n));
    parallel_for(found.size(), n_threads, [&](std::size_t block) {
      poll_interrupt();
      const std::size_t begin = block * kBlock, end = std::min(n, begin + kBlock);
      found[block] = document_kernels<T>().distances(
          index.vectors.data, index.terms.data + begin, end - begin, index.dim, query.columns.get(), query.stride,
          distances.get() + begin * query.stride, nearest.get() + begin);
    });
    for (const T value : found) largest = std::max(largest, value);
  }
};

/// What one thread needs to look at one document more closely.
template <class T>
class Closer {
 public:
  /// A bound from nearly optimal potentials: some steps of Sinkhorn's iteration, then the potentials that go with them.
  /// Those are feasible whatever the iteration came to, so the bound holds; NaN where it broke down.
  double refine(const Table<T>& table, const QueryColumns<T>& query, const std::int32_t* words, const double* weights,
                std::size_t n, double bound) {
    const std::size_t stride = query.stride;
    const std::size_t width = (n + kernels::kQueryLanes - 1) / kernels::kQueryLanes * kernels::kQueryLanes;
    const double epsilon = std::max(kEpsilon * bound, static_cast<double>(table.largest) / 80);
    affinities_.resize(query.n * width);
    weights_.assign(width, 0.0f);
    std::copy(weights, weights + n, weights_.begin());
    others_.resize(width);
    scaling_.assign(query.weights.begin(), query.weights.begin() + static_cast<std::ptrdiff_t>(query.n));
    sums_.resize(query.n);
    potentials_.resize(stride);
    next_.resize(stride);
    document_kernels<T>().affinities(table.distances.get(), words, n, stride, query.n, static_cast<T>(1 / epsilon),
                                     affinities_.data());
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
      kernel_table().documents.sweep(affinities_.data(), n, query.n, weights_.data(), scaling_.data(), others_.data(),
                                     sums_.data());
      for (std::size_t i = 0; i < query.n; ++i) scaling_[i] = static_cast<float>(query.weights[i]) / sums_[i];
    }
    for (std::size_t i = 0; i < query.n; ++i) potentials_[i] = static_cast<T>(-epsilon * std::log(sums_[i]));
    std::fill(potentials_.begin() + static_cast<std::ptrdiff_t>(query.n), potentials_.end(), potentials_[0]);
    double sum = document_kernels<T>().transform(table.distances.get(), stride, words, weights, n, potentials_.data(),
                                                 next_.data());
    for (std::size_t i = 0; i < query.n; ++i) sum += query.weights[i] * static_cast<double>(next_[i]);
    return sum;
  }

  double solve(const Table<T>& table, const QueryColumns<T>& query, const std::int32_t* words, const double* weights,
               std::size_t n) {
    return solver_.solve(table.distances.get(), table.nearest.get(), query, words, weights, n);
  }

 private:
  std::vector<float> affinities_, weights_, others_, scaling_, sums_;
  std::vector<T> potentials_, next_;
  DocumentSolver<T> solver_;
};

}  // namespace

template <class T>
DocumentIndex<T>::DocumentIndex(const Arrays& arrays, std::shared_ptr<const void> owner)
    : arrays_(arrays), owner_(std::move(owner)) {}

template <class T>
std::unique_ptr<DocumentIndex<T>> DocumentIndex<T>::validate(const Arrays& a, std::shared_ptr<const void> owner) {
  if (a.dim == 0 || a.vectors.size % a.dim != 0) throw corrupt_error("vectors", "expected a table of vectors");
  const std::size_t n_words = a.vectors.size / a.dim;
  // Of length one, or scaled to a largest value in [1, 2): then no distance overflows.
  for (std::size_t i = 0; i < a.vectors.size; ++i)
    if (!(std::abs(a.vectors[i]) <= 2)) throw corrupt_error("vectors", "expected values from -2 to 2");
  std::vector<bool> seen(n_words);
  for (const std::int32_t term : a.terms) {
    if (term < 0 || static_cast<std::size_t>(term) >= n_words || seen[static_cast<std::size_t>(term)])
      throw corrupt_error("terms", "expected different rows of the vectors");
    seen[static_cast<std::size_t>(term)] = true;
  }
  const auto n_entries = static_cast<std::int64_t>(a.words.size);
  if (a.indptr.empty() || a.indptr[0] != 0 || a.indptr[a.indptr.size - 1] != n_entries)
    throw corrupt_error("indptr", "expected offsets from 0 to the number of words");
  if (a.indptr.size > std::numeric_limits<std::uint32_t>::max())
    throw corrupt_error("indptr", "expected fewer than 2^32 documents");
  if (a.weights.size != a.words.size) throw corrupt_error("weights", "expected one weight a word");
  for (std::size_t d = 0; d + 1 < a.indptr.size; ++d)
    if (a.indptr[d] > a.indptr[d + 1] || a.indptr[d + 1] > n_entries)
      throw corrupt_error("indptr", "expected offsets that do not decrease");
  for (std::size_t d = 0; d + 1 < a.indptr.size; ++d) {
    double sum = 0;
    std::int32_t last = -1;
    const auto begin = static_cast<std::size_t>(a.indptr[d]), end = static_cast<std::size_t>(a.indptr[d + 1]);
    for (std::size_t p = begin; p < end; ++p) {
      if (a.words[p] <= last || static_cast<std::size_t>(a.words[p]) >= a.terms.size)
        throw corrupt_error("words", "expected positions in terms, ascending within a document");
      last = a.words[p];
      if (!(a.weights[p] > 0)) throw corrupt_error("weights", "expected weights above 0");
      sum += a.weights[p];
    }
    if (begin != end && !(std::abs(sum - 1) <= 1e-9))
      throw corrupt_error("weights", "expected weights of sum 1 within a document");
  }
  return std::unique_ptr<DocumentIndex>(new DocumentIndex(a, std::move(owner)));
}

template <class T>
DocumentHits DocumentIndex<T>::search(const Bag& bag, std::size_t k, unsigned n_threads) const {
  const Words words = distinct_words(bag, arrays_.vectors.size / arrays_.dim, "query");
  const QueryColumns<T> query(arrays_.vectors.data, arrays_.dim, words);
  const Table<T> table(arrays_, query, n_threads);
  const std::size_t n_docs = arrays_.indptr.size - 1;

  std::vector<double> first(n_docs);
  parallel_for(blocks(n_docs), n_threads, [&](std::size_t block) {
    poll_interrupt();
    const std::size_t begin = block * kBlock, n = std::min(n_docs - begin, kBlock);
    double forward[kBlock], backward[kBlock];
    document_kernels<T>().bounds(table.distances.get(), table.nearest.get(), query.stride, arrays_.indptr.data + begin,
                                 arrays_.words.data, arrays_.weights.data, query.weights.data(), n, forward, backward,
                                 first.data() + begin);
    for (std::size_t d = 0; d < n; ++d) first[begin + d] = std::max({first[begin + d], backward[d], 0.0});
  });

  std::vector<Candidate> open;
  open.reserve(n_docs);
  for (std::size_t d = 0; d < n_docs; ++d)
    if (arrays_.indptr[d] != arrays_.indptr[d + 1])
      open.push_back({first[d], -1.0, static_cast<std::uint32_t>(d), false});
  first = {};
  DocumentHits result;
  result.n_bounded = static_cast<std::int64_t>(open.size());
  std::make_heap(open.begin(), open.end(), comes_after);

  // A bound is rounded, and so are the distances of which it is made.
  const double rounding = 4.0 * static_cast<double>(std::numeric_limits<T>::epsilon() * table.largest);
  std::vector<Hit> hits;  // the k nearest so far, the farthest on top
  std::vector<Closer<T>> closer(n_threads > 1 ? 2 * std::size_t{n_threads} : 1);
  std::vector<Candidate> taken;
  const auto is_beyond = [&](const Candidate& c) {
    return hits.size() == k && c.bound - rounding > hits.front().distance;
  };
  while (!open.empty() && k > 0 && !is_beyond(open.front())) {
    poll_interrupt();
    // Several threads compute what may be needed next ahead of its turn; what is done with it does not depend on them.
    taken.clear();
    const auto take = [&] {
      std::pop_heap(open.begin(), open.end(), comes_after);
      taken.push_back(open.back());
      open.pop_back();
    };
    take();
    if (taken[0].ready < 0) {
      while (taken.size() < closer.size() && !open.empty() && !is_beyond(open.front())) take();
      parallel_for(taken.size(), n_threads, [&](std::size_t i) {
        Candidate& c = taken[i];
        if (c.ready >= 0) return;
        const auto begin = static_cast<std::size_t>(arrays_.indptr[c.number]);
        const std::size_t n = static_cast<std::size_t>(arrays_.indptr[c.number + 1]) - begin;
        const std::int32_t* at = arrays_.words.data + begin;
        const double* weights = arrays_.weights.data + begin;
        if (c.refined) {
          c.ready = closer[i].solve(table, query, at, weights, n);
        } else {
          const double bound = closer[i].refine(table, query, at, weights, n, c.bound);
          c.ready = bound > c.bound ? bound : c.bound;  // also where it is NaN
        }
      });
      for (std::size_t i = 1; i < taken.size(); ++i) {
        open.push_back(taken[i]);
        std::push_heap(open.begin(), open.end(), comes_after);
      }
    }
    Candidate c = taken[0];
    if (!c.refined) {
      ++result.n_refined;
      c = {c.ready, -1.0, c.number, true};
      open.push_back(c);
      std::push_heap(open.begin(), open.end(), comes_after);
      continue;
    }
    ++result.n_solved;
    const Hit hit{c.ready, c.number};
    if (hits.size() < k) {
      hits.push_back(hit);
      std::push_heap(hits.begin(), hits.end(), is_nearer);
    } else if (is_nearer(hit, hits.front())) {
      std::pop_heap(hits.begin(), hits.end(), is_nearer);
      hits.back() = hit;
      std::push_heap(hits.begin(), hits.end(), is_nearer);
    }
  }
  std::sort_heap(hits.begin(), hits.end(), is_nearer);
  for (const Hit& hit : hits) {
    result.documents.push_back(hit.number);
    result.distances.push_back(hit.distance);
  }
  return result;
}

template class DocumentIndex<float>;
template class DocumentIndex<double>;

}  // namespace likewise::transport
