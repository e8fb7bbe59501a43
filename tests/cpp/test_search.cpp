// The index against the formula, written out; and against arrays that break the rules. The level is chosen by the
// environment, so ctest runs this program once for each.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "core/dispatch.hpp"
#include "core/search/string_table.hpp"
#include "core/thread_pool.hpp"
#include "likewise/search.hpp"

using namespace likewise;
using namespace likewise::search;

namespace {

struct Corpus {
  std::size_t n_terms = 0;
  std::vector<std::vector<std::uint32_t>> documents;  // numbers of forms "t0", "t1", ...
  std::shared_ptr<Builder::Result> built;
  std::vector<std::string> forms;
};

std::shared_ptr<Builder::Result> build(const Corpus& corpus) {
  Analysis analysis;
  analysis.words = Words::given;
  Scanner scanner(std::make_shared<Analyzer>(analysis));
  for (const auto& document : corpus.documents) {
    std::vector<std::string_view> tokens;
    for (const std::uint32_t form : document) tokens.emplace_back(corpus.forms[form]);
    scanner.add_tokens(tokens);
  }
  Builder builder;
  for (std::size_t i = 0; i < scanner.n_forms(); ++i) builder.add_form(scanner.form(i));
  builder.add(scanner.offsets(), scanner.forms());
  return std::make_shared<Builder::Result>(builder.finish(scanner));
}

Corpus make_corpus(std::size_t n_docs, std::size_t n_terms, unsigned seed) {
  std::mt19937_64 bits(seed);
  Corpus corpus;
  corpus.n_terms = n_terms;
  for (std::size_t t = 0; t < n_terms; ++t) corpus.forms.push_back("t" + std::to_string(t));
  for (std::size_t d = 0; d < n_docs; ++d) {
    std::vector<std::uint32_t> document(bits() % 30);
    for (std::uint32_t& form : document) {  // about Zipf
      const double u = std::uniform_real_distribution<>()(bits);
      form = static_cast<std::uint32_t>(static_cast<double>(n_terms) * u * u * u);
    }
    if (d % 97 == 5) document.assign(300, 0);  // a frequency above what a byte holds
    corpus.documents.push_back(document);
  }
  corpus.built = build(corpus);
  return corpus;
}

std::unique_ptr<Index> open(const Corpus& corpus, Variant variant, bool float64, bool full = true) {
  Scoring scoring;
  scoring.variant = variant;
  if (variant == Variant::bm25l || variant == Variant::bm25plus) scoring.delta = 0.5;
  return Index::validate(corpus.built->arrays(), corpus.built, scoring, float64, full);
}

Query query_of(const Index& index, const std::vector<std::string>& tokens) {
  std::vector<std::uint32_t> ids;
  for (const std::string& token : tokens) ids.push_back(index.find_term(token));
  return index.make_query(ids, -1);
}

template <class T>
void test_search(const Corpus& corpus, const Index& index, const Query& query) {
  const std::size_t n = corpus.documents.size();
  std::vector<T> scores(n);
  index.score_all(query, scores.data());
  std::vector<std::int64_t> order(n);
  for (std::size_t i = 0; i < n; ++i) order[i] = static_cast<std::int64_t>(i);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
  });
  const T least = *std::min_element(scores.begin(), scores.end());  // of a document without any term: never a hit
  for (const std::size_t k : {std::size_t{1}, std::size_t{10}, std::size_t{100}, n}) {
    for (const Method method : {Method::automatic, Method::exhaustive}) {
      for (const unsigned n_threads : {1u, 2u}) {
        std::vector<std::int64_t> found(k);
        std::vector<T> found_scores(k);
        const std::size_t hits = index.search(query, k, method, -1, n_threads, found.data(), found_scores.data());
        CHECK(hits <= k);
        for (std::size_t i = 0; i < hits; ++i) {
          CHECK(found[i] == order[i]);
          CHECK(std::memcmp(&found_scores[i], &scores[static_cast<std::size_t>(order[i])], sizeof(T)) == 0);
        }
        for (std::size_t i = hits; i < k; ++i) CHECK(scores[static_cast<std::size_t>(order[i])] == least);
      }
    }
  }
}

}  // namespace

CASE(the_example_of_the_specification) {
  Corpus corpus;
  corpus.forms = {"a", "b", "c", "d"};
  corpus.documents = {{0, 1, 0}, {1, 2}, {0, 2, 2, 3}};
  corpus.built = build(corpus);
  const auto index = open(corpus, Variant::lucene, true);
  double scores[3];
  index->score_all(query_of(*index, {"a", "d"}), scores);
  const double expected[3] = {.29375227, 0, .58033315};
  for (int i = 0; i < 3; ++i) CHECK(std::fabs(scores[i] - expected[i]) < 1e-8);
}

CASE(scores_equal_the_formula) {
  const Corpus corpus = make_corpus(5000, 300, 1);
  const auto index = open(corpus, Variant::lucene, true);
  const double n = static_cast<double>(corpus.documents.size());
  double total = 0;
  for (const auto& document : corpus.documents) total += static_cast<double>(document.size());
  const double average = total / n;
  for (const std::vector<std::uint32_t>& words : {std::vector<std::uint32_t>{0}, {1, 250, 7}, {3, 3, 4}}) {
    std::vector<std::string> tokens;
    for (const std::uint32_t w : words) tokens.push_back(corpus.forms[w]);
    std::vector<double> scores(corpus.documents.size());
    index->score_all(query_of(*index, tokens), scores.data());
    std::vector<double> expected(scores.size());
    for (const std::uint32_t w : words) {
      double df = 0;
      for (const auto& document : corpus.documents)
        df += std::find(document.begin(), document.end(), w) != document.end();
      const double idf = std::log(1 + (n - df + 0.5) / (df + 0.5));
      for (std::size_t d = 0; d < scores.size(); ++d) {
        const auto& document = corpus.documents[d];
        const double tf = static_cast<double>(std::count(document.begin(), document.end(), w));
        expected[d] += idf * tf / (tf + 1.2 * (1 - 0.75 + 0.75 * static_cast<double>(document.size()) / average));
      }
    }
    for (std::size_t d = 0; d < scores.size(); ++d)
      CHECK(std::fabs(scores[d] - expected[d]) <= 1e-12 * std::fabs(expected[d]));
  }
}

CASE(search_equals_sorted_scores) {
  std::printf("level %s\n", kernel_table().level);
  for (const unsigned seed : {2u, 3u}) {
    const Corpus corpus = make_corpus(seed == 2 ? 4097 : 9000, seed == 2 ? 40 : 3000, seed);
    for (const Variant variant : {Variant::lucene, Variant::robertson, Variant::atire, Variant::bm25l,
                                  Variant::bm25plus, Variant::bm25, Variant::okapi}) {
      for (const bool full : {true, false}) {
        const auto single = open(corpus, variant, false, full), twofold = open(corpus, variant, true, full);
        for (const std::vector<std::string>& tokens :
             {std::vector<std::string>{"t0"}, {"t1", "t2", "t39"}, {"t5", "t6", "t7", "t8", "t9", "t10", "t0", "t0"},
              {"unknown", "t3"}}) {
          test_search<float>(corpus, *single, query_of(*single, tokens));
          test_search<double>(corpus, *twofold, query_of(*twofold, tokens));
        }
      }
    }
  }
}

CASE(concurrent_first_use) {
  const Corpus corpus = make_corpus(5000, 300, 4);
  const auto expected_index = open(corpus, Variant::lucene, false);
  const Query query = query_of(*expected_index, {"t1", "t2", "t3"});
  std::vector<std::int64_t> expected(10);
  std::vector<float> scores(10);
  CHECK(expected_index->search(query, 10, Method::automatic, -1, 1, expected.data(), scores.data()) == 10);
  for (int repeat = 0; repeat < 5; ++repeat) {
    const auto index = open(corpus, Variant::lucene, false, repeat % 2 == 0);
    std::vector<std::thread> threads;
    std::vector<int> right(4);
    for (std::size_t t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        std::vector<std::int64_t> found(10);
        std::vector<float> s(10);
        if (t == 3) index->warm(2);
        index->search(query, 10, Method::automatic, -1, 2, found.data(), s.data());
        index->keywords(static_cast<std::uint32_t>(t), 5, 1, 1e9);
        right[t] = found == expected && s == scores;
      });
    for (std::thread& thread : threads) thread.join();
    for (const int r : right) CHECK(r == 1);
  }
}

CASE(absurd_parameters_are_refused) {
  const Corpus corpus = make_corpus(20, 30, 5);
  const auto refused = [&](double k1, double b, double delta) {
    Scoring scoring;
    scoring.k1 = k1, scoring.b = b, scoring.delta = delta;
    try {
      Index::validate(corpus.built->arrays(), corpus.built, scoring, false, true);
    } catch (const value_error&) {
      return true;
    }
    return false;
  };
  CHECK(!refused(0, 0, 0));
  CHECK(!refused(1e6, 1, 1e-6));
  CHECK(refused(1e300, 0.75, 0));
  CHECK(refused(-1, 0.75, 0));
  CHECK(refused(std::nan(""), 0.75, 0));
  CHECK(refused(1.2, 1.1, 0));
  CHECK(refused(1.2, 0.75, 1e-9));
}

CASE(each_single_corruption_is_refused) {
  const Corpus corpus = make_corpus(200, 30, 5);
  const auto refused = [&](const auto& corrupt) {
    Builder::Result damaged = *corpus.built;
    corrupt(damaged);
    bool thrown = false;
    try {
      Index::validate(damaged.arrays(), nullptr, Scoring{}, false, true);
    } catch (const corrupt_error&) {
      thrown = true;
    }
    return thrown;
  };
  using R = Builder::Result;
  CHECK(!refused([](R&) {}));
  CHECK(refused([](R& r) { r.document_lengths.pop_back(); }));
  CHECK(refused([](R& r) { r.posting_offsets[0] = 1; }));
  CHECK(refused([](R& r) { r.posting_offsets.back() += 1; }));
  CHECK(refused([](R& r) { r.posting_offsets[5] = r.posting_offsets[6] + 1; }));
  CHECK(refused([](R& r) { r.posting_offsets[5] = ~std::uint64_t{0}; }));
  CHECK(refused([](R& r) { r.posting_offsets.pop_back(); }));
  CHECK(refused([](R& r) { r.posting_documents[0] = 200; }));
  CHECK(refused([](R& r) { r.posting_documents[0] = 0xFFFFFFFF; }));
  CHECK(refused([](R& r) { std::swap(r.posting_documents[0], r.posting_documents[1]); }));
  CHECK(refused([](R& r) { r.posting_documents[1] = r.posting_documents[0]; }));
  CHECK(refused([](R& r) { r.posting_documents.pop_back(); }));
  CHECK(refused([](R& r) { r.posting_frequencies[0] = 0; }));
  CHECK(refused([](R& r) { r.posting_frequencies.pop_back(); }));
  CHECK(refused([](R& r) {
    *std::find_if(r.posting_frequencies.begin(), r.posting_frequencies.end(), [](int f) { return f < 255; }) = 255;
  }));
  CHECK(refused([](R& r) { r.large_positions[0] += 1; }));
  CHECK(refused([](R& r) { r.large_positions[0] = ~std::uint64_t{0}; }));
  CHECK(refused([](R& r) { r.large_frequencies[0] = 254; }));
  CHECK(refused([](R& r) { r.large_frequencies.pop_back(); }));
  CHECK(refused([](R& r) { r.large_positions.push_back(0); }));
  CHECK(refused([](R& r) { r.term_offsets[1] = 1000000; }));
  CHECK(refused([](R& r) { r.term_offsets.back() -= 1; }));
  CHECK(refused([](R& r) { r.term_bytes[0] = 0xFF; }));
  CHECK(refused([](R& r) { r.term_bytes[0] = 'z'; }));
  CHECK(refused([](R& r) { r.term_slots[0] = 0x7FFFFFFF; r.term_slots[1] = 0x7FFFFFFF; }));
  CHECK(refused([](R& r) { r.term_slots.pop_back(); }));
}
