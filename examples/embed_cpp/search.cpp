// A full-text index inside a C++ program: tokens in, ranked documents out. The documents are the hand example of the
// tests, in which one letter is one term.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string_view>
#include <vector>

#include "likewise/search.hpp"

namespace search = likewise::search;
using Tokens = std::vector<std::string_view>;

// Scanner numbers the distinct tokens; Builder is told each one's term (here the token itself; a stemmer would go here)
// and collects the documents; Index::validate checks the arrays and answers queries on them.
std::unique_ptr<search::Index> build(const std::vector<Tokens>& documents) {
  search::Analysis analysis;
  analysis.words = search::Words::given;
  search::Scanner scanner(std::make_shared<search::Analyzer>(analysis));
  for (const Tokens& document : documents) scanner.add_tokens({document.data(), document.size()});

  search::Builder builder;
  for (std::size_t i = 0; i < scanner.n_forms(); ++i) builder.add_form(scanner.form(i));
  builder.add(scanner.offsets(), scanner.forms());
  const auto segment = std::make_shared<search::Builder::Result>(builder.finish(scanner));
  return search::Index::validate(segment->arrays(), segment, search::Scoring{}, /*float64=*/true, /*full=*/true);
}

int main() {
  try {
    const auto index = build({{"a", "b", "a"}, {"b", "c"}, {"a", "c", "c", "d"}});

    std::vector<std::uint32_t> terms;
    for (const std::string_view token : Tokens{"a", "d"}) terms.push_back(index->find_term(token));
    const search::Query query = index->make_query({terms.data(), terms.size()}, /*k3=*/-1);

    std::vector<std::int64_t> documents(2);
    std::vector<double> scores(2);
    const std::size_t n = index->search(query, documents.size(), search::Method::automatic, /*excluded=*/-1,
                                        /*n_threads=*/1, documents.data(), scores.data());
    for (std::size_t i = 0; i < n; ++i)
      std::printf("document %lld  score %.8f\n", static_cast<long long>(documents[i]), scores[i]);
    return 0;
  } catch (const likewise::error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
