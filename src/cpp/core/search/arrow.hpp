// Texts from any producer of the Arrow C data interface (https://arrow.apache.org/docs/format/CDataInterface.html),
// read where they lie. The interface carries no sizes of buffers: offsets are checked for order, views and dictionary
// indices for range, texts for UTF-8; the rest is the producer's word.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "likewise/span.hpp"

namespace likewise::search::arrow {

// The three structures, laid out as the interface says.
struct Schema {
  const char* format;
  const char* name;
  const char* metadata;
  std::int64_t flags;
  std::int64_t n_children;
  Schema** children;
  Schema* dictionary;
  void (*release)(Schema*);
  void* private_data;
};

struct Array {
  std::int64_t length;
  std::int64_t null_count;
  std::int64_t offset;
  std::int64_t n_buffers;
  std::int64_t n_children;
  const void** buffers;
  Array** children;
  Array* dictionary;
  void (*release)(Array*);
  void* private_data;
};

struct Stream {
  int (*get_schema)(Stream*, Schema*);
  int (*get_next)(Stream*, Array*);
  const char* (*get_last_error)(Stream*);
  void (*release)(Stream*);
  void* private_data;
};

/// Owns one of them: its release is called exactly once, whatever happens.
template <class T>
class Owned {
 public:
  Owned() : value_{} {}
  /// Takes the structure over from `source`, which is marked as released.
  explicit Owned(T* source) : value_(*source) { source->release = nullptr; }
  Owned(Owned&& other) noexcept : value_(std::exchange(other.value_, T{})) {}
  Owned& operator=(Owned&& other) noexcept {
    if (this != &other) {
      reset();
      value_ = std::exchange(other.value_, T{});
    }
    return *this;
  }
  ~Owned() { reset(); }
  void reset() {
    if (value_.release != nullptr) value_.release(&value_);
    value_ = T{};
  }
  T* get() { return &value_; }
  T* operator->() { return &value_; }
  explicit operator bool() const { return value_.release != nullptr; }

 private:
  T value_;
};

/// Which columns are read, and how messages call things.
struct ReaderOptions {
  std::optional<std::vector<std::string>> fields;  // none: the texts themselves, or a table's only column of strings
  std::optional<std::string> id_field;
  std::string argument;   // "documents"
  std::string null_hint;  // what to call about nulls
};

/// Strings, or their places in a dictionary, or integers (for ids).
struct Column {
  enum class Kind { utf8, large_utf8, view, integer };
  Kind kind = Kind::utf8;
  char integer = 0;           // the format of an integer, or of the indices of a dictionary
  bool dictionary = false;    // kind is then that of the dictionary's values
  std::int64_t child = -1;    // of a struct; -1: the array itself
  std::string name;
};

/// Reads documents a few megabytes at a time. Not for use in two threads at once.
class TextReader {
 public:
  TextReader(Owned<Stream> stream, ReaderOptions options);
  TextReader(Owned<Schema> schema, Owned<Array> array, ReaderOptions options);

  std::size_t n_parts() const noexcept { return texts_.size(); }
  /// The texts of the next documents, n_parts() each, about `max_bytes` of them; empty at the end. Valid until the next
  /// call. Messages count positions from `first_position`.
  span<const std::string_view> next(std::size_t max_bytes, std::size_t first_position);

  bool has_ids() const noexcept { return ids_.has_value(); }
  bool has_integer_ids() const noexcept { return ids_ && ids_->kind == Column::Kind::integer; }
  /// The ids of the documents of the last next().
  const std::vector<std::string_view>& text_ids() const noexcept { return text_ids_; }
  const std::vector<std::int64_t>& integer_ids() const noexcept { return integer_ids_; }

 private:
  void choose_columns(const Schema& schema);
  bool load();  // the next array; false at the end

  ReaderOptions options_;
  Owned<Stream> stream_;
  Owned<Array> array_;
  bool struct_ = false, single_ = false;
  std::vector<Column> texts_;
  std::optional<Column> ids_;
  std::int64_t row_ = 0;
  std::vector<std::string_view> views_, text_ids_;
  std::vector<std::int64_t> integer_ids_;
};

}  // namespace likewise::search::arrow
