#include <cstdint>
#include <utility>

#include "core/search/form_table.hpp"
#include "core/search/words.hpp"
#include "core/thread_pool.hpp"
#include "likewise/search/building.hpp"

namespace likewise::search {

struct Scanner::State {
  explicit State(const Analyzer& analyzer) : table(analyzer) {}
  FormTable table;
  std::vector<std::int64_t> offsets{0};
  std::vector<std::uint32_t> forms;
  std::uint64_t n_overlong = 0;

  // Tokens on their way: their slots have been asked for. A size beyond the inline keys says what else it is.
  static constexpr std::size_t kPending = 64;
  static constexpr std::uint32_t kLongAscii = 0xFFFFFFFDu, kSurface = 0xFFFFFFFEu, kEndOfDocument = 0xFFFFFFFFu;
  FormTable::Key pending[kPending];
  std::size_t n_pending = 0;

  FormTable::Key& next() {
    if (n_pending == kPending) flush();
    return pending[n_pending++];
  }
  /// `low` and `high`: where a token lies, and its size.
  void put(std::uint32_t what, std::string_view text) {
    next() = {reinterpret_cast<std::uintptr_t>(text.data()), text.size(), 0, what};
  }
  void flush() {
    const std::size_t n = std::exchange(n_pending, 0);
    for (std::size_t i = 0; i < n; ++i) {
      const FormTable::Key& key = pending[i];
      if (key.size <= FormTable::kInline) {
        push(table.find(key));
      } else if (key.size == kEndOfDocument) {
        offsets.push_back(static_cast<std::int64_t>(forms.size()));
      } else {
        const std::string_view text(reinterpret_cast<const char*>(key.low), key.high);
        push(key.size == kSurface ? table.find(text) : table.find_long_ascii(text));
      }
    }
  }
  void push(std::uint32_t form) {
    if (form < FormTable::kOverlong) {
      forms.push_back(form);
    } else {
      n_overlong += form == FormTable::kOverlong;
    }
  }
};

Scanner::Scanner(std::shared_ptr<const Analyzer> analyzer)
    : analyzer_(std::move(analyzer)), state_(std::make_unique<State>(*analyzer_)) {}

Scanner::~Scanner() = default;

void Scanner::scan(span<const std::string_view> parts, std::size_t n_parts) {
  constexpr std::size_t kSafePoint = std::size_t{1} << 16;
  State& s = *state_;
  s.n_pending = 0;  // what an interrupted call left
  const Words words = analyzer_->analysis().words;
  const Cjk cjk = analyzer_->analysis().cjk;
  std::size_t since = 0;
  for (std::size_t i = 0; i < parts.size; ++i) {
    const std::string_view text = parts[i];
    const auto* const end = reinterpret_cast<const unsigned char*>(text.data()) + text.size();
    words::Pointer polled = end - text.size();
    const auto emit = [&](words::Pointer token, words::Pointer token_end, bool ascii, bool) {
      if (static_cast<std::size_t>(token - polled) >= kSafePoint) {
        polled = token;
        poll_interrupt();
      }
      const auto size = static_cast<std::size_t>(token_end - token);
      if (ascii && size <= FormTable::kInline) {
        FormTable::Key& key = s.next();
        key = s.table.ascii_key(token, size, static_cast<std::size_t>(end - token));
        s.table.prefetch(key);
      } else {
        s.put(ascii ? State::kLongAscii : State::kSurface, {reinterpret_cast<const char*>(token), size});
      }
    };
    words::for_each(text, words, cjk, emit);
    if ((i + 1) % n_parts == 0) s.put(State::kEndOfDocument, {});
    since += text.size() + 1;
    if (since >= kSafePoint) {
      since = 0;
      poll_interrupt();
    }
  }
  s.flush();
}

void Scanner::add_tokens(span<const std::string_view> tokens) {
  for (const std::string_view token : tokens) state_->push(state_->table.find(token));
  state_->offsets.push_back(static_cast<std::int64_t>(state_->forms.size()));
}

span<const std::int64_t> Scanner::offsets() const noexcept { return {state_->offsets.data(), state_->offsets.size()}; }
span<const std::uint32_t> Scanner::forms() const noexcept { return {state_->forms.data(), state_->forms.size()}; }

void Scanner::clear_documents() {
  state_->offsets.resize(1);
  state_->forms.clear();
}

std::size_t Scanner::n_forms() const noexcept { return state_->table.size(); }
std::string_view Scanner::form(std::size_t i) const noexcept { return state_->table[i]; }
std::uint64_t Scanner::n_overlong() const noexcept { return state_->n_overlong; }
void Scanner::reset() { state_ = std::make_unique<State>(*analyzer_); }

}  // namespace likewise::search
