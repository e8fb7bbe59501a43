// From texts to the arrays of a segment: analyzer (words and their forms), scanner (texts to numbered forms), builder
// (numbered forms to postings). Stemming lies with the caller, who names the term of each new form once.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "likewise/error.hpp"
#include "likewise/search/index.hpp"
#include "likewise/span.hpp"

namespace likewise::search {

/// unicode: runs of letters, numbers and marks. plain: runs of [A-Za-z0-9], nothing else. given: tokens come ready.
enum class Words { unicode, plain, given };

/// What becomes of a run of characters that are written without spaces. segmenter: runs of Han are handed out whole,
/// for a Chinese word segmenter; other scripts as with bigram.
enum class Cjk { bigram, unigram_bigram, whole, segmenter };

struct Analysis {
  Words words = Words::unicode;
  bool lowercase = true;
  Cjk cjk = Cjk::bigram;
  std::uint32_t min_length = 1, max_length = 64;  // code points of a form
  std::vector<std::string> stopwords;             // forms
};

/// A token of a text: its form, and the code points [begin, end) of the text that it stands for.
struct Token {
  std::string form;
  std::size_t begin, end;
};

/// A piece of a text before its form is taken, in code points. `han`: a segmenter has yet to cut it.
struct Piece {
  std::size_t begin, end;
  bool han;
};

/// Words and their forms, by fixed rules. Immutable: safe to use in many threads. Texts are valid UTF-8.
class Analyzer {
 public:
  enum class Verdict { kept, dropped, overlong };

  explicit Analyzer(Analysis analysis);
  ~Analyzer();
  Analyzer(const Analyzer&) = delete;
  Analyzer& operator=(const Analyzer&) = delete;

  const Analysis& analysis() const noexcept;
  /// The form of one token, and whether it stays.
  Verdict form(std::string_view token, std::string& out) const;
  /// The forms that stay, in order.
  std::vector<std::string> forms(std::string_view text) const;
  std::vector<Token> tokens(std::string_view text) const;
  std::vector<Piece> pieces(std::string_view text) const;

 private:
  struct State;
  std::unique_ptr<const State> state_;
};

/// Turns texts into numbered forms. A form is normalised, measured and compared with the stop words once for each
/// distinct surface, not for each occurrence.
class Scanner {
 public:
  explicit Scanner(std::shared_ptr<const Analyzer> analyzer);
  ~Scanner();
  Scanner(const Scanner&) = delete;
  Scanner& operator=(const Scanner&) = delete;

  /// Appends documents of `n_parts` texts each (valid UTF-8), read as if joined by a separator. The result does not
  /// depend on the number of threads. Can be interrupted.
  void scan(span<const std::string_view> parts, std::size_t n_parts, unsigned n_threads = 1);
  /// Appends one document of ready tokens.
  void add_tokens(span<const std::string_view> tokens);

  /// The documents since clear_documents(), as CSR: forms[offsets[i], offsets[i+1]).
  span<const std::int64_t> offsets() const noexcept;
  span<const std::uint32_t> forms() const noexcept;
  void clear_documents();

  std::size_t n_forms() const noexcept;
  std::string_view form(std::size_t i) const noexcept;
  /// Occurrences that max_length dropped so far.
  std::uint64_t n_overlong() const noexcept;
  /// Frees everything; the scanner is then as new.
  void reset();

 private:
  struct State;
  std::shared_ptr<const Analyzer> analyzer_;
  std::unique_ptr<State> state_;
};

/// Keeps the texts of documents, one behind the other.
class TextStore {
 public:
  /// Documents of `n_parts` texts each, joined by line feeds.
  void add(span<const std::string_view> parts, std::size_t n_parts);
  struct Result {
    std::vector<std::uint64_t> offsets;  // [n_docs + 1]
    std::vector<std::uint8_t> bytes;
  };
  /// The store is then as new.
  Result finish();

 private:
  std::vector<std::string> blocks_;  // freed one by one when they are joined
  std::vector<std::uint64_t> offsets_{0};
};

/// Collects documents as sequences of numbered forms and makes the arrays of a segment.
class Builder {
 public:
  Builder();
  ~Builder();
  Builder(const Builder&) = delete;
  Builder& operator=(const Builder&) = delete;

  /// Names the term of the next form.
  void add_form(std::string_view term);
  std::size_t n_forms() const noexcept;
  /// Documents as CSR: forms[offsets[i], offsets[i+1]). Throws value_error unless the offsets ascend from 0 to the
  /// number of forms and each form has been named.
  void add(span<const std::int64_t> offsets, span<const std::uint32_t> forms);
  std::uint64_t n_docs() const noexcept;

  struct Result {
    std::vector<std::uint32_t> document_lengths;
    std::vector<std::uint64_t> posting_offsets;
    std::vector<std::uint32_t> posting_documents;
    std::vector<std::uint8_t> posting_frequencies;
    std::vector<std::uint64_t> large_positions;
    std::vector<std::uint32_t> large_frequencies;
    std::vector<std::uint64_t> term_offsets;
    std::vector<std::uint8_t> term_bytes;
    std::vector<std::uint32_t> term_slots;
    std::vector<std::uint64_t> form_offsets;  // display forms: by term the most frequent form (ties: shorter, bytes);
    std::vector<std::uint8_t> form_bytes;     // both empty where every term is its own display form
    SegmentArrays arrays() const;
  };
  /// Ends the collection; the builder is then as new, and so is `scanner`, which made the forms. (It is freed before
  /// the postings are written, to keep the peak of memory low.)
  Result finish(Scanner& scanner);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace likewise::search
