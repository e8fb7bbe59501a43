#include <unordered_set>

#include "core/search/words.hpp"
#include "likewise/search/building.hpp"

namespace likewise::search {

struct Analyzer::State {
  Analysis analysis;
  std::unordered_set<std::string> stopwords;
};

namespace {

std::string_view view(words::Pointer begin, words::Pointer end) {
  return {reinterpret_cast<const char*>(begin), static_cast<std::size_t>(end - begin)};
}

/// Turns ascending byte positions of a text into code points.
class Position {
 public:
  explicit Position(std::string_view text) : text_(text) {}
  std::size_t operator()(words::Pointer p) {
    const auto byte = static_cast<std::size_t>(reinterpret_cast<const char*>(p) - text_.data());
    codes_ += unicode::count_code_points(text_.substr(byte_, byte - byte_));
    byte_ = byte;
    return codes_;
  }

 private:
  std::string_view text_;
  std::size_t byte_ = 0, codes_ = 0;
};

}  // namespace

Analyzer::Analyzer(Analysis analysis) {
  auto state = std::make_unique<State>();
  state->stopwords.insert(analysis.stopwords.begin(), analysis.stopwords.end());
  state->analysis = std::move(analysis);
  state_ = std::move(state);
}

Analyzer::~Analyzer() = default;

const Analysis& Analyzer::analysis() const noexcept { return state_->analysis; }

Analyzer::Verdict Analyzer::form(std::string_view token, std::string& out) const {
  const Analysis& a = state_->analysis;
  if (a.words == Words::given) {
    out = token;
    return Verdict::kept;
  }
  out = unicode::form(token, a.lowercase);
  const std::size_t length = unicode::count_code_points(out);
  if (length < a.min_length) return Verdict::dropped;
  if (length > a.max_length) return Verdict::overlong;
  return state_->stopwords.count(out) != 0 ? Verdict::dropped : Verdict::kept;
}

std::vector<std::string> Analyzer::forms(std::string_view text) const {
  std::vector<std::string> out;
  std::string one;
  words::for_each(text, state_->analysis.words, state_->analysis.cjk,
                  [&](words::Pointer begin, words::Pointer end, bool, bool) {
                    if (form(view(begin, end), one) == Verdict::kept) out.push_back(one);
                  });
  return out;
}

std::vector<Token> Analyzer::tokens(std::string_view text) const {
  std::vector<Token> out;
  std::string one;
  Position begins(text), ends(text);
  words::for_each(text, state_->analysis.words, state_->analysis.cjk,
                  [&](words::Pointer begin, words::Pointer end, bool, bool) {
                    if (form(view(begin, end), one) == Verdict::kept) out.push_back({one, begins(begin), ends(end)});
                  });
  return out;
}

std::vector<Piece> Analyzer::pieces(std::string_view text) const {
  std::vector<Piece> out;
  Position begins(text), ends(text);
  words::for_each(text, state_->analysis.words, state_->analysis.cjk,
                  [&](words::Pointer begin, words::Pointer end, bool, bool han) {
                    out.push_back({begins(begin), ends(end), han});
                  });
  return out;
}

}  // namespace likewise::search
