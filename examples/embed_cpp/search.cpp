// A full-text index inside a C++ program: tokens in, ranked documents out. The documents are those of the hand example in
// the tests: one letter is one term.
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "likewise/search.hpp"

namespace search = likewise::search;

namespace {

// Numbers the distinct forms of the tokens; the builder is told each form once, and documents as sequences of numbers.
struct Vocabulary {
  std::unordered_map<std::string_view, std::uint32_t> numbers;
  std::vector<std::string_view> forms;

  std::uint32_t number(std::string_view form) {
    const auto [place, is_new] = numbers.try_emplace(form, static_cast<std::uint32_t>(forms.size()));
    if (is_new) forms.push_back(form);
    return place->second;
  }
};

std::unique_ptr<search::Index> build(const std::vector<std::vector<std::string_view>>& documents) {
  Vocabulary vocabulary;
  std::vector<std::int64_t> offsets{0};
  std::vector<std::uint32_t> forms;
  for (const auto& document : documents) {
    for (const std::string_view token : document) forms.push_back(vocabulary.number(token));
    offsets.push_back(static_cast<std::int64_t>(forms.size()));
  }
  search::Builder builder;
  for (const std::string_view form : vocabulary.forms) builder.add_form(form, false);
  builder.add({offsets.data(), offsets.size()}, {forms.data(), forms.size()});

  const auto segment = std::make_shared<search::Builder::Result>(
      builder.finish([&](std::uint32_t form) { return vocabulary.forms[form]; }));
  return search::Index::validate(segment->arrays(), segment, search::Scoring{}, /*float64=*/true, /*full=*/true);
}

}  // namespace

int main() {
  try {
    const auto index = build({{"a", "b", "a"}, {"b", "c"}, {"a", "c", "c", "d"}});

    std::vector<std::uint32_t> tokens;
    for (const std::string_view token : {"a", "d"}) tokens.push_back(index->find_term(token));
    const search::Query query = index->make_query({tokens.data(), tokens.size()}, /*k3=*/-1);

    std::vector<std::int64_t> documents(2);
    std::vector<double> scores(2);
    const std::size_t n = index->search(query, 2, search::Method::automatic, /*excluded=*/-1, documents.data(), scores.data());
    for (std::size_t i = 0; i < n; ++i)
      std::printf("document %lld  score %.8f\n", static_cast<long long>(documents[i]), scores[i]);
    return 0;
  } catch (const likewise::error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
