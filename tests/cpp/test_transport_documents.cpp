// Word Mover's Distance: every kernel at every CPU level against the plain loop, the distance against a plain solver of
// tiny problems, the search against all distances, and the checks of an index.
#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include "check.hpp"
#include "core/dispatch.hpp"
#include "kernels/table.hpp"
#include "likewise/transport/documents.hpp"

namespace {

using likewise::corrupt_error;
using likewise::span;
using likewise::value_error;
using likewise::kernels::DocumentKernels;
using likewise::kernels::DocumentTable;
using likewise::kernels::kQueryLanes;
using namespace likewise::transport;

std::mt19937_64 random_bits(20260404);

std::vector<const DocumentTable*> levels() {
  std::vector<const DocumentTable*> found;
  const std::vector<std::string> available = likewise::level_report().available;
#define LIKEWISE_ADD(level)                                                    \
  if (std::find(available.begin(), available.end(), #level) != available.end()) \
    found.push_back(&likewise::kernels::level::document_kernels);
  LIKEWISE_LEVELS(LIKEWISE_ADD)
#undef LIKEWISE_ADD
  return found;
}

template <class T>
const DocumentKernels<T>& of(const DocumentTable& table) {
  if constexpr (sizeof(T) == 4) {
    return table.f32;
  } else {
    return table.f64;
  }
}

template <class T>
std::vector<T> normal(std::size_t n) {
  std::vector<T> values(n);
  std::normal_distribution<double> distribution;
  for (T& v : values) v = static_cast<T>(distribution(random_bits));
  return values;
}

std::size_t below(std::size_t n) { return random_bits() % n; }

bool close(double a, double b, double tolerance) { return std::abs(a - b) <= tolerance * std::max(1.0, std::abs(b)); }

template <class T>
void check_kernels() {
  const double tolerance = sizeof(T) == 4 ? 2e-6 : 1e-14;
  for (const std::size_t dim : {1, 2, 3, 4, 7, 50})
    for (const std::size_t m : {1, 5, 16, 17, 40}) {
      const std::size_t n_words = 1 + below(40), stride = (m + kQueryLanes - 1) / kQueryLanes * kQueryLanes;
      const std::vector<T> vectors = normal<T>(n_words * dim);
      std::vector<T> query = normal<T>(dim * stride);
      for (std::size_t h = 0; h < dim; ++h)
        for (std::size_t i = m; i < stride; ++i) query[h * stride + i] = query[h * stride];
      std::vector<std::int32_t> rows(1 + below(50));
      for (std::int32_t& row : rows) row = static_cast<std::int32_t>(below(n_words));
      std::vector<double> plain(rows.size() * stride);
      for (std::size_t j = 0; j < rows.size(); ++j)
        for (std::size_t i = 0; i < stride; ++i) {
          double sum = 0;
          for (std::size_t h = 0; h < dim; ++h) {
            const double d = static_cast<double>(vectors[static_cast<std::size_t>(rows[j]) * dim + h]) -
                             static_cast<double>(query[h * stride + i]);
            sum += d * d;
          }
          plain[j * stride + i] = std::sqrt(sum);
        }
      // A document of each size: all rows, some of them, one.
      std::vector<std::int64_t> indptr = {0};
      std::vector<std::int32_t> words;
      std::vector<double> weights, query_weights(stride);
      for (const std::size_t n : {rows.size(), rows.size() / 2 + 1, std::size_t{1}}) {
        for (std::size_t p = 0; p < n; ++p) {
          words.push_back(static_cast<std::int32_t>(below(rows.size())));
          weights.push_back(1.0 / static_cast<double>(n));
        }
        indptr.push_back(static_cast<std::int64_t>(words.size()));
      }
      for (std::size_t i = 0; i < m; ++i) query_weights[i] = 1.0 / static_cast<double>(m);
      for (const DocumentTable* table : levels()) {
        const DocumentKernels<T>& kernels = of<T>(*table);
        std::vector<T> found(plain.size()), nearest(rows.size());
        const T largest = kernels.distances(vectors.data(), rows.data(), rows.size(), dim, query.data(), stride,
                                            found.data(), nearest.data());
        CHECK(largest == *std::max_element(found.begin(), found.end()));
        for (std::size_t j = 0; j < rows.size(); ++j) {
          CHECK(nearest[j] == *std::min_element(found.begin() + static_cast<std::ptrdiff_t>(j * stride),
                                                found.begin() + static_cast<std::ptrdiff_t>((j + 1) * stride)));
          for (std::size_t i = 0; i < stride; ++i)
            CHECK(close(static_cast<double>(found[j * stride + i]), plain[j * stride + i], tolerance));
        }
        double forward[3], backward[3], improved[3];
        kernels.bounds(found.data(), nearest.data(), stride, indptr.data(), words.data(), weights.data(),
                       query_weights.data(), 3, forward, backward, improved);
        for (std::size_t d = 0; d < 3; ++d) {
          const auto begin = static_cast<std::size_t>(indptr[d]), end = static_cast<std::size_t>(indptr[d + 1]);
          double to_query = 0, from_query = 0, rest = 0;
          for (std::size_t p = begin; p < end; ++p)
            to_query += weights[p] * static_cast<double>(nearest[static_cast<std::size_t>(words[p])]);
          std::vector<T> excesses(m);
          for (std::size_t i = 0; i < m; ++i) {
            T least = found[static_cast<std::size_t>(words[begin]) * stride + i], excess = least;
            for (std::size_t p = begin; p < end; ++p) {
              const T value = found[static_cast<std::size_t>(words[p]) * stride + i];
              least = std::min(least, value);
              excess = std::min(excess, value - nearest[static_cast<std::size_t>(words[p])]);
            }
            excesses[i] = excess;
            from_query += query_weights[i] * static_cast<double>(least);
            rest += query_weights[i] * static_cast<double>(excess);
          }
          CHECK(close(forward[d], to_query, 1e-14) && close(backward[d], from_query, 1e-14));
          CHECK(close(improved[d], to_query + rest, 1e-14));

          // From potentials of zero one step gives the same bound.
          std::vector<T> potentials(stride), next(stride);
          const double sum = kernels.transform(found.data(), stride, words.data() + begin, weights.data() + begin,
                                               end - begin, potentials.data(), next.data());
          CHECK(close(sum, to_query, 1e-14));
          for (std::size_t i = 0; i < m; ++i) CHECK(next[i] == excesses[i]);

          const std::size_t n = end - begin, width = (n + kQueryLanes - 1) / kQueryLanes * kQueryLanes;
          std::vector<float> affinities(m * width), shares(width), scaling(m, 0.5f), others(width), sums(m);
          for (std::size_t j = 0; j < n; ++j) shares[j] = static_cast<float>(weights[begin + j]);
          kernels.affinities(found.data(), words.data() + begin, n, stride, m, T(2), affinities.data());
          for (std::size_t i = 0; i < m; ++i)
            for (std::size_t j = 0; j < width; ++j) {
              const double value =
                  j < n ? std::exp(-2 * static_cast<double>(
                                            found[static_cast<std::size_t>(words[begin + j]) * stride + i]))
                        : 0;
              CHECK(std::abs(static_cast<double>(affinities[i * width + j]) - value) <= 1e-5 * value + 1e-30);
            }
          table->sweep(affinities.data(), n, m, shares.data(), scaling.data(), others.data(), sums.data());
          std::vector<double> expected(m);
          for (std::size_t j = 0; j < n; ++j) {
            double total = 0;
            for (std::size_t i = 0; i < m; ++i) total += 0.5 * static_cast<double>(affinities[i * width + j]);
            for (std::size_t i = 0; i < m; ++i)
              expected[i] += static_cast<double>(affinities[i * width + j]) * weights[begin + j] / total;
          }
          for (std::size_t i = 0; i < m; ++i) CHECK(close(static_cast<double>(sums[i]), expected[i], 1e-5));
        }
        std::vector<T> product(dim);
        kernels.multiply(vectors.data(), dim, 0.3, product.data());
        for (std::size_t h = 0; h < dim; ++h)
          CHECK(product[h] == static_cast<T>(static_cast<double>(vectors[h]) * 0.3));
        const std::vector<const T*> some = {&vectors[0], &vectors[0], &vectors[(n_words - 1) * dim], &vectors[0]};
        std::vector<T> transposed(4 * dim);
        kernels.columns(some.data(), 4, dim, transposed.data());
        for (std::size_t e = 0; e < 4 * dim; ++e) CHECK(transposed[e] == some[e % 4][e / 4]);
      }
    }
}

CASE(kernels_of_float) { check_kernels<float>(); }
CASE(kernels_of_double) { check_kernels<double>(); }

CASE(the_example_of_the_specification) {
  const std::vector<double> vectors = {0, 0, 3, 4, 0, 1, 6, 8};
  const std::vector<std::int64_t> a = {0, 0, 1}, b = {2, 3};
  const auto distance = [&](DocumentDistance kind) {
    return document_distance<double>(kind, vectors, 2, Bag{a, {}}, Bag{b, {}}, false);
  };
  CHECK(close(distance(DocumentDistance::word_movers), 23.0 / 6, 1e-15));
  CHECK(close(distance(DocumentDistance::relaxed), 3.0, 1e-15));
  CHECK(close(distance(DocumentDistance::centroid), 3.7453675091, 1e-10));
  CHECK_THROWS(value_error,
               document_distance<double>(DocumentDistance::relaxed, vectors, 2, Bag{a, {}}, Bag{b, {}}, true));
}

CASE(bags_are_checked) {
  const std::vector<double> vectors = {1, 0, 3, 4};
  const std::vector<std::int64_t> fine = {0, 1}, negative = {0, -1}, beyond = {2, 0};
  const std::vector<double> counts = {1, 2}, none = {0, 0}, below_zero = {1, -1}, infinite = {1, INFINITY},
                            nan = {NAN, 1}, one = {1};
  const Bag good{fine, counts};
  for (const Bag& bad : {Bag{negative, {}}, Bag{beyond, {}}, Bag{fine, none}, Bag{fine, below_zero},
                         Bag{fine, infinite}, Bag{fine, nan}, Bag{fine, one}, Bag{{}, {}}}) {
    CHECK_THROWS(value_error, document_distance<double>(DocumentDistance::word_movers, vectors, 2, good, bad, false));
    CHECK_THROWS(value_error, document_distance<double>(DocumentDistance::word_movers, vectors, 2, bad, good, false));
  }
  const std::vector<double> huge = {1e308, 1e308}, ones = {1, 1};
  CHECK(document_distance<double>(DocumentDistance::word_movers, vectors, 2, Bag{fine, huge}, Bag{fine, ones}, false) ==
        0);
}

struct Corpus {
  std::vector<float> vectors;
  std::vector<std::int32_t> terms, words;
  std::vector<std::int64_t> indptr;
  std::vector<double> weights;

  DocumentIndex<float>::Arrays arrays() const { return {vectors, 8, terms, indptr, words, weights}; }
};

Corpus corpus(std::size_t n_docs) {
  Corpus c;
  c.vectors = normal<float>(60 * 8);
  prepare_vectors<float>(c.vectors.data(), 60, 8, true, c.vectors.data(), 1);
  for (std::int32_t term = 59; term >= 0; term -= 2) c.terms.push_back(term);
  c.indptr = {0};
  for (std::size_t d = 0; d < n_docs; ++d) {
    const std::size_t n = d % 7 == 3 ? 0 : 1 + below(12);
    std::vector<std::int32_t> words;
    for (std::size_t i = 0; i < n; ++i) words.push_back(static_cast<std::int32_t>(below(c.terms.size())));
    std::sort(words.begin(), words.end());
    words.erase(std::unique(words.begin(), words.end()), words.end());
    for (const std::int32_t word : words) {
      c.words.push_back(word);
      c.weights.push_back(1.0 / static_cast<double>(words.size()));
    }
    c.indptr.push_back(static_cast<std::int64_t>(c.words.size()));
  }
  return c;
}

CASE(a_search_finds_what_all_distances_say) {
  const Corpus c = corpus(700);
  const auto index = DocumentIndex<float>::validate(c.arrays(), nullptr);
  for (const std::size_t m : {1, 3, 20, 55}) {
    std::vector<std::int64_t> query;
    for (std::size_t i = 0; i < m; ++i) query.push_back(static_cast<std::int64_t>(below(60)));
    std::vector<double> truth;
    for (std::size_t d = 0; d < 700; ++d) {
      std::vector<std::int64_t> words;
      for (std::int64_t p = c.indptr[d]; p < c.indptr[d + 1]; ++p)
        words.push_back(c.terms[static_cast<std::size_t>(c.words[static_cast<std::size_t>(p)])]);
      if (!words.empty())
        truth.push_back(document_distance<float>(DocumentDistance::word_movers, c.vectors, 8, Bag{words, {}},
                                                 Bag{query, {}}, false));
    }
    std::sort(truth.begin(), truth.end());
    const DocumentHits hits = index->search(Bag{query, {}}, 9, 1), same = index->search(Bag{query, {}}, 9, 3);
    CHECK(hits.documents.size() == 9 && hits.n_bounded == static_cast<std::int64_t>(truth.size()));
    CHECK(hits.n_solved < hits.n_bounded && hits.n_solved >= 9);
    for (std::size_t i = 0; i < 9; ++i) CHECK(close(hits.distances[i], truth[i], 1e-12));
    CHECK(hits.documents == same.documents && hits.distances == same.distances && hits.n_solved == same.n_solved &&
          hits.n_refined == same.n_refined);
    CHECK(index->search(Bag{query, {}}, 0, 1).documents.empty());
    CHECK(index->search(Bag{query, {}}, 100000, 2).documents.size() == truth.size());
  }
  CHECK_THROWS(value_error, index->search(Bag{{}, {}}, 3, 1));
}

CASE(an_index_is_checked) {
  const Corpus good = corpus(50);
  const auto refused = [&](auto change) {
    Corpus c = good;
    change(c);
    CHECK_THROWS(corrupt_error, DocumentIndex<float>::validate(c.arrays(), nullptr));
  };
  refused([](Corpus& c) { c.vectors[5] = NAN; });
  refused([](Corpus& c) { c.vectors[5] = 3; });
  refused([](Corpus& c) { c.vectors.pop_back(); });
  refused([](Corpus& c) { c.terms[3] = 60; });
  refused([](Corpus& c) { c.terms[3] = -1; });
  refused([](Corpus& c) { c.terms[3] = c.terms[4]; });
  refused([](Corpus& c) { c.indptr.clear(); });
  refused([](Corpus& c) { c.indptr[0] = 1; });
  refused([](Corpus& c) { c.indptr[2] = c.indptr.back() + 1; });
  refused([](Corpus& c) { c.indptr[2] = -1; });
  refused([](Corpus& c) { c.indptr.back() -= 1; });
  refused([](Corpus& c) { c.words[0] = static_cast<std::int32_t>(c.terms.size()); });
  refused([](Corpus& c) { c.words[0] = -1; });
  refused([](Corpus& c) { c.weights[0] = 0; });
  refused([](Corpus& c) { c.weights[0] = NAN; });
  refused([](Corpus& c) { c.weights[0] *= 1.5; });
  refused([](Corpus& c) { c.weights.pop_back(); });
  CHECK(DocumentIndex<float>::validate(good.arrays(), nullptr) != nullptr);
}

}  // namespace
