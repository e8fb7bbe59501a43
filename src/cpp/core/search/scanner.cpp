#include <algorithm>
#include <cstdint>
#include <utility>

#include "core/search/form_table.hpp"
#include "core/search/words.hpp"
#include "core/thread_pool.hpp"
#include "likewise/search/building.hpp"

namespace likewise::search {
namespace {

constexpr std::size_t kSafePoint = std::size_t{1} << 16;  // bytes between two looks for Ctrl-C
constexpr std::size_t kMostLanes = 8;                     // each has a table of its own
constexpr std::size_t kLeastBytes = std::size_t{1} << 17;  // worth a thread

/// Documents and their forms, as one thread numbers them.
class Lane {
 public:
  explicit Lane(const Analyzer& analyzer) : table(analyzer) {}

  void scan(span<const std::string_view> parts, std::size_t n_parts, const Analysis& analysis) {
    n_pending_ = 0;  // what an interrupted call left
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
        if (size <= FormTable::kInline) {
          const auto readable = static_cast<std::size_t>(end - token);
          FormTable::Key& key = next();
          key = ascii ? table.ascii_key(token, size, readable) : table.surface_key(token, size, readable);
          table.prefetch(key);
        } else {
          put(ascii ? kLongAscii : kSurface, {reinterpret_cast<const char*>(token), size});
        }
      };
      words::for_each(text, analysis.words, analysis.cjk, emit);
      if ((i + 1) % n_parts == 0) put(kEndOfDocument, {});
      since += text.size() + 1;
      if (since >= kSafePoint) {
        since = 0;
        poll_interrupt();
      }
    }
    flush();
  }

  void push(std::uint32_t form) {
    if (form < FormTable::kOverlong) {
      forms.push_back(form);
    } else {
      n_overlong += form == FormTable::kOverlong;
    }
  }
  void end_document() { offsets.push_back(static_cast<std::int64_t>(forms.size())); }
  void clear_documents() {
    offsets.resize(1);
    forms.clear();
  }

  FormTable table;
  std::vector<std::int64_t> offsets{0};
  std::vector<std::uint32_t> forms;
  std::uint64_t n_overlong = 0;

 private:
  // Tokens on their way: their slots have been asked for. A size beyond the inline keys says what else it is.
  static constexpr std::size_t kPending = 64;
  static constexpr std::uint32_t kLongAscii = 0xFFFFFFFDu, kSurface = 0xFFFFFFFEu, kEndOfDocument = 0xFFFFFFFFu;

  FormTable::Key& next() {
    if (n_pending_ == kPending) flush();
    return pending_[n_pending_++];
  }
  /// `low` and `high`: where a token lies, and its size.
  void put(std::uint32_t what, std::string_view text) {
    next() = {reinterpret_cast<std::uintptr_t>(text.data()), text.size(), 0, what};
  }
  void flush() {
    const std::size_t n = std::exchange(n_pending_, 0);
    for (std::size_t i = 0; i < n; ++i) {
      const FormTable::Key& key = pending_[i];
      if (FormTable::is_inline(key)) {
        push(table.find(key));
      } else if (key.size == kEndOfDocument) {
        end_document();
      } else {
        const std::string_view text(reinterpret_cast<const char*>(key.low), key.high);
        push(key.size == kSurface ? table.find(text) : table.find_long_ascii(text));
      }
    }
  }

  FormTable::Key pending_[kPending];
  std::size_t n_pending_ = 0;
};

/// Where each of `n` pieces of about equal size in bytes begins: whole documents.
std::vector<std::size_t> cuts(span<const std::string_view> parts, std::size_t n_parts, std::size_t bytes,
                              std::size_t n) {
  std::vector<std::size_t> begins{0};
  std::size_t seen = 0;
  for (std::size_t i = 0; i < parts.size && begins.size() < n; ++i) {
    seen += parts[i].size();
    if ((i + 1) % n_parts == 0 && seen * n >= bytes * begins.size()) begins.push_back(i + 1);
  }
  begins.resize(n, parts.size);
  begins.push_back(parts.size);
  return begins;
}

}  // namespace

struct Scanner::State {
  explicit State(const Analyzer& analyzer) : main(analyzer) {}
  Lane main;
  // Lanes of threads number forms for themselves; numbers[i] maps those of lane i to main's.
  std::vector<std::unique_ptr<Lane>> lanes;
  std::vector<std::vector<std::uint32_t>> numbers;
};

Scanner::Scanner(std::shared_ptr<const Analyzer> analyzer)
    : analyzer_(std::move(analyzer)), state_(std::make_unique<State>(*analyzer_)) {}

Scanner::~Scanner() = default;

void Scanner::scan(span<const std::string_view> parts, std::size_t n_parts, unsigned n_threads) {
  State& s = *state_;
  const Analysis& analysis = analyzer_->analysis();
  std::size_t bytes = 0;
  for (const std::string_view part : parts) bytes += part.size();
  const std::size_t n_lanes = std::min({std::size_t{n_threads}, kMostLanes, bytes / kLeastBytes});
  if (n_lanes < 2) {
    s.main.scan(parts, n_parts, analysis);
    return;
  }
  while (s.lanes.size() < n_lanes) {
    s.lanes.push_back(std::make_unique<Lane>(*analyzer_));
    s.numbers.emplace_back();
  }
  const std::vector<std::size_t> begins = cuts(parts, n_parts, bytes, n_lanes);
  parallel_for(n_lanes, n_threads, [&](std::size_t i) {
    s.lanes[i]->clear_documents();
    s.lanes[i]->scan({parts.data + begins[i], begins[i + 1] - begins[i]}, n_parts, analysis);
  });
  // New forms are numbered lane by lane, hence in the order of the texts, as one thread would.
  std::vector<std::size_t> starts;
  std::size_t size = s.main.forms.size();
  for (std::size_t i = 0; i < n_lanes; ++i) {
    Lane& lane = *s.lanes[i];
    for (std::size_t form = s.numbers[i].size(); form < lane.table.size(); ++form)
      s.numbers[i].push_back(s.main.table.number(lane.table[form]));
    for (std::size_t d = 1; d < lane.offsets.size(); ++d)
      s.main.offsets.push_back(lane.offsets[d] + static_cast<std::int64_t>(size));
    starts.push_back(size);
    size += lane.forms.size();
    s.main.n_overlong += std::exchange(lane.n_overlong, 0);
  }
  s.main.forms.resize(size);
  parallel_for(n_lanes, n_threads, [&](std::size_t i) {
    std::uint32_t* out = s.main.forms.data() + starts[i];
    for (const std::uint32_t form : s.lanes[i]->forms) *out++ = s.numbers[i][form];
  });
}

void Scanner::add_tokens(span<const std::string_view> tokens) {
  for (const std::string_view token : tokens) state_->main.push(state_->main.table.find(token));
  state_->main.end_document();
}

span<const std::int64_t> Scanner::offsets() const noexcept {
  return {state_->main.offsets.data(), state_->main.offsets.size()};
}
span<const std::uint32_t> Scanner::forms() const noexcept {
  return {state_->main.forms.data(), state_->main.forms.size()};
}
void Scanner::clear_documents() { state_->main.clear_documents(); }
std::size_t Scanner::n_forms() const noexcept { return state_->main.table.size(); }
std::string_view Scanner::form(std::size_t i) const noexcept { return state_->main.table[i]; }
std::uint64_t Scanner::n_overlong() const noexcept { return state_->main.n_overlong; }
void Scanner::reset() { state_ = std::make_unique<State>(*analyzer_); }

}  // namespace likewise::search
