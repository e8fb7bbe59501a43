#include "core/search/arrow.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/search/unicode.hpp"
#include "likewise/error.hpp"

namespace likewise::search::arrow {
namespace {

std::string type_name(const Schema& schema) {
  static const std::pair<const char*, const char*> names[] = {
      {"n", "null"},   {"b", "bool"},    {"c", "int8"},    {"C", "uint8"},      {"s", "int16"},        {"S", "uint16"},
      {"i", "int32"},  {"I", "uint32"},  {"l", "int64"},   {"L", "uint64"},     {"e", "float16"},      {"f", "float32"},
      {"g", "float64"}, {"z", "binary"}, {"Z", "large binary"}, {"vz", "binary view"}, {"+l", "list"},
      {"+L", "large list"},
      {"+s", "struct"}, {"u", "string"}, {"U", "large string"}, {"vu", "string view"}};
  const std::string format = schema.format == nullptr ? "" : schema.format;
  std::string name = "Arrow type '" + format + "'";
  for (const auto& [known, text] : names)
    if (format == known) name = text;
  return schema.dictionary == nullptr ? name : "dictionary of " + type_name(*schema.dictionary);
}

std::optional<Column::Kind> kind_of(const Schema& schema) {
  const std::string_view format = schema.format == nullptr ? "" : schema.format;
  if (format == "u") return Column::Kind::utf8;
  if (format == "U") return Column::Kind::large_utf8;
  if (format == "vu") return Column::Kind::view;
  if (format.size() == 1 && std::strchr("cCsSiIlL", format[0]) != nullptr) return Column::Kind::integer;
  return std::nullopt;
}

/// The column's type, if it is one of ours.
std::optional<Column> column_of(const Schema& schema, std::int64_t child) {
  Column column;
  column.child = child;
  column.name = schema.name == nullptr ? "" : schema.name;
  const std::optional<Column::Kind> kind = kind_of(schema);
  if (!kind) return std::nullopt;
  column.kind = *kind;
  if (*kind == Column::Kind::integer) column.integer = schema.format[0];
  if (schema.dictionary != nullptr) {
    const std::optional<Column::Kind> values = kind_of(*schema.dictionary);
    if (*kind != Column::Kind::integer || !values || *values == Column::Kind::integer ||
        schema.dictionary->dictionary != nullptr)
      return std::nullopt;
    column.dictionary = true;
    column.kind = *values;
  }
  return column;
}

template <class T>
T load_at(const void* buffer, std::int64_t i) {
  T value;
  std::memcpy(&value, static_cast<const char*>(buffer) + static_cast<std::size_t>(i) * sizeof(T), sizeof(T));
  return value;
}

/// An integer of an Arrow format; false if it does not fit int64.
bool load_integer(char format, const void* buffer, std::int64_t i, std::int64_t& out) {
  switch (format) {
    case 'c': out = load_at<std::int8_t>(buffer, i); return true;  // NOLINT(*-signed-char-misuse,*-str34-c): a number
    case 'C': out = load_at<std::uint8_t>(buffer, i); return true;
    case 's': out = load_at<std::int16_t>(buffer, i); return true;
    case 'S': out = load_at<std::uint16_t>(buffer, i); return true;
    case 'i': out = load_at<std::int32_t>(buffer, i); return true;
    case 'I': out = load_at<std::uint32_t>(buffer, i); return true;
    case 'l': out = load_at<std::int64_t>(buffer, i); return true;
    default: {
      const auto value = load_at<std::uint64_t>(buffer, i);
      out = static_cast<std::int64_t>(value);
      return value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    }
  }
}

bool is_null(const Array& array, std::int64_t i) {
  if (array.null_count == 0 || array.n_buffers == 0 || array.buffers[0] == nullptr) return false;
  const std::int64_t bit = array.offset + i;
  return (load_at<std::uint8_t>(array.buffers[0], bit / 8) >> (bit % 8) & 1) == 0;
}

/// One column of one array: checked once, then read row by row.
class Cells {
 public:
  Cells(const Column& column, const Array& array, std::int64_t rows, const std::string& argument,
        const std::string& null_hint)
      : column_(column), array_(array), argument_(argument), null_hint_(null_hint) {
    if (array.length < rows) throw broken("arrays as long as their table");
    check_buffers(array, column.dictionary ? Column::Kind::integer : column.kind);
    if (column.dictionary) {
      if (array.dictionary == nullptr) throw broken("a dictionary");
      check_buffers(*array.dictionary, column.kind);
    }
  }

  /// Not yet known to be UTF-8.
  std::string_view text(std::int64_t row, std::size_t position) const {
    if (is_null(array_, row)) throw null_at(position);
    if (!column_.dictionary) return string(array_, row, position);
    std::int64_t index = 0;
    if (!load_integer(column_.integer, array_.buffers[1], array_.offset + row, index) || index < 0 ||
        index >= array_.dictionary->length)
      throw value_error(argument_ + ": expected dictionary indices within the dictionary, got " +
                        std::to_string(index) + " at index " + std::to_string(position));
    if (is_null(*array_.dictionary, index)) throw null_at(position);
    return string(*array_.dictionary, index, position);
  }

  std::int64_t integer(std::int64_t row, std::size_t position) const {
    if (is_null(array_, row)) throw null_at(position);
    std::int64_t value = 0;
    if (!load_integer(column_.integer, array_.buffers[1], array_.offset + row, value))
      throw value_error(argument_ + ": expected integers that fit 64 bits, got " +
                        std::to_string(static_cast<std::uint64_t>(value)) + " at index " + std::to_string(position));
    return value;
  }

 private:
  value_error broken(const std::string& expected) const {
    return value_error(argument_ + ": expected Arrow arrays with " + expected + ", got a malformed one");
  }
  value_error null_at(std::size_t position) const {
    return value_error(argument_ + ": expected no nulls, got one at index " + std::to_string(position) +
                       (null_hint_.empty() ? "" : " [call " + null_hint_ + "]"));
  }

  void check_buffers(const Array& array, Column::Kind kind) const {
    const std::int64_t n = kind == Column::Kind::integer ? 2 : 3;
    if (array.length < 0 || array.offset < 0 || array.offset > std::numeric_limits<std::int64_t>::max() - array.length)
      throw broken("lengths and offsets of 0 or more");
    if (array.n_buffers < n || (kind != Column::Kind::view && array.n_buffers != n) || array.buffers == nullptr)
      throw broken(std::to_string(n) + " buffers");
    if (array.length > 0 && array.buffers[1] == nullptr) throw broken("values");
    if (kind == Column::Kind::view && array.n_buffers > 3 && array.buffers[array.n_buffers - 1] == nullptr)
      throw broken("the sizes of their buffers");
  }

  std::string_view string(const Array& array, std::int64_t row, std::size_t position) const {
    const std::int64_t i = array.offset + row;
    if (column_.kind == Column::Kind::view) return view(array, i, position);
    std::int64_t begin = 0, end = 0;
    if (column_.kind == Column::Kind::utf8) {
      begin = load_at<std::int32_t>(array.buffers[1], i);
      end = load_at<std::int32_t>(array.buffers[1], i + 1);
    } else {
      begin = load_at<std::int64_t>(array.buffers[1], i);
      end = load_at<std::int64_t>(array.buffers[1], i + 1);
    }
    if (begin < 0 || end < begin || (end > begin && array.buffers[2] == nullptr)) throw bad_offset(position);
    if (begin == end) return "";
    return {static_cast<const char*>(array.buffers[2]) + begin, static_cast<std::size_t>(end - begin)};
  }

  /// 16 bytes: the length, then up to 12 bytes of text, or 4 of them, the number of a buffer and the place in it.
  std::string_view view(const Array& array, std::int64_t i, std::size_t position) const {
    constexpr std::int32_t kInline = 12;
    const char* const entry = static_cast<const char*>(array.buffers[1]) + 16 * i;
    const auto size = load_at<std::int32_t>(entry, 0);
    if (size < 0) throw bad_offset(position);
    if (size <= kInline) return {entry + 4, static_cast<std::size_t>(size)};
    const auto buffer = load_at<std::int32_t>(entry, 2);
    const auto begin = load_at<std::int32_t>(entry, 3);
    // Behind validity and entries come the buffers of text and, last, their sizes.
    if (buffer < 0 || begin < 0 || buffer >= array.n_buffers - 3) throw bad_offset(position);
    const auto available = load_at<std::int64_t>(array.buffers[array.n_buffers - 1], buffer);
    if (std::int64_t{begin} + size > available || array.buffers[2 + buffer] == nullptr) throw bad_offset(position);
    return {static_cast<const char*>(array.buffers[2 + buffer]) + begin, static_cast<std::size_t>(size)};
  }

  value_error bad_offset(std::size_t position) const {
    return value_error(argument_ + ": expected Arrow offsets that ascend within their buffers, got others at index " +
                       std::to_string(position));
  }

  const Column& column_;
  const Array& array_;
  const std::string& argument_;
  const std::string& null_hint_;
};

/// Texts in adjacent memory are looked at as one: if that is UTF-8, and each text begins with a character, so are they.
void check_utf8(span<const std::string_view> texts, std::size_t n_parts, const std::string& argument,
                std::size_t first_position) {
  constexpr std::size_t kTogether = std::size_t{1} << 14;
  for (std::size_t begin = 0, end = 0; begin < texts.size; begin = end) {
    const char* const data = texts[begin].data();
    std::size_t size = 0;
    for (; end < texts.size && size <= kTogether; ++end) {
      const std::string_view text = texts[end];
      if (text.empty()) continue;
      if (text.data() != data + size) break;
      size += text.size();
    }
    end = std::max(end, begin + 1);
    bool valid = unicode::valid_prefix({data, size}) == size;
    for (std::size_t i = begin; i < end; ++i)
      valid = valid && (texts[i].empty() || (static_cast<unsigned char>(texts[i][0]) & 0xC0) != 0x80);
    for (std::size_t i = begin; i < end && !valid; ++i)
      if (const std::size_t n = unicode::valid_prefix(texts[i]); n != texts[i].size())
        throw value_error(argument + ": expected valid UTF-8, got an invalid byte at index " +
                          std::to_string(first_position + i / n_parts) + " in byte " + std::to_string(n));
  }
}

std::string quoted(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "'" : ", '") + name + "'";
  return text.empty() ? "none" : text;
}

}  // namespace

TextReader::TextReader(Owned<Stream> stream, ReaderOptions options)
    : options_(std::move(options)), stream_(std::move(stream)) {
  Owned<Schema> schema;
  const int failed = stream_->get_schema(stream_.get(), schema.get());
  if (failed != 0) {
    const char* const message = stream_->get_last_error(stream_.get());
    throw value_error(options_.argument + ": expected an Arrow stream with a schema, got error " +
                      std::to_string(failed) + ": " + (message == nullptr ? "no message" : message));
  }
  choose_columns(*schema.get());
}

TextReader::TextReader(Owned<Schema> schema, Owned<Array> array, ReaderOptions options)
    : options_(std::move(options)), array_(std::move(array)), single_(true) {
  choose_columns(*schema.get());
}

void TextReader::choose_columns(const Schema& schema) {
  const std::string& argument = options_.argument;
  struct_ = schema.format != nullptr && std::string_view(schema.format) == "+s";
  if (!struct_) {
    if (options_.fields) throw value_error("fields: expected None for plain texts, got " + quoted(*options_.fields));
    if (options_.id_field)
      throw type_error("ids: expected one key a document for plain texts, got the name '" + *options_.id_field + "'");
    const std::optional<Column> column = column_of(schema, -1);
    if (!column || column->kind == Column::Kind::integer)
      throw type_error(argument + ": expected strings, got " + type_name(schema));
    texts_ = {*column};
    return;
  }
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < schema.n_children; ++i)
    names.emplace_back(schema.children[i]->name == nullptr ? "" : schema.children[i]->name);
  const auto find = [&](const std::string& name, const char* parameter) {
    const auto n = std::count(names.begin(), names.end(), name);
    if (n != 1)
      throw value_error(std::string(parameter) + ": expected the name of one column, got '" + name + "' [there " +
                        (n == 0 ? "are " : "is more than one of it: ") + quoted(names) + "]");
    const auto child = std::find(names.begin(), names.end(), name) - names.begin();
    const std::optional<Column> column = column_of(*schema.children[child], child);
    if (!column || (column->kind == Column::Kind::integer && std::string_view(parameter) != "ids"))
      throw type_error((parameter == std::string_view("ids") ? "ids: expected strings or integers, got "
                                                             : argument + ": expected strings, got ") +
                       type_name(*schema.children[child]) + " in column '" + name + "'");
    return *column;
  };
  if (options_.id_field) ids_ = find(*options_.id_field, "ids");
  if (options_.fields) {
    for (const std::string& field : *options_.fields) texts_.push_back(find(field, "fields"));
    return;
  }
  std::vector<std::string> strings;
  for (std::int64_t i = 0; i < schema.n_children; ++i) {
    const std::optional<Column> column = column_of(*schema.children[i], i);
    if (!column || column->kind == Column::Kind::integer || (ids_ && ids_->child == i)) continue;
    strings.push_back(column->name);
    texts_ = {*column};
  }
  if (strings.empty()) throw type_error(argument + ": expected a column of strings, got the columns " + quoted(names));
  if (strings.size() > 1)
    throw value_error("fields: expected the names of the columns to read, got None [columns of strings: " +
                      quoted(strings) + "]");
}

bool TextReader::load() {
  row_ = 0;
  if (stream_) {
    array_.reset();
    const int failed = stream_->get_next(stream_.get(), array_.get());
    if (failed != 0) {
      *array_.get() = Array{};  // not ours to release after an error
      const char* const message = stream_->get_last_error(stream_.get());
      throw value_error(options_.argument + ": expected an Arrow stream without errors, got error " +
                        std::to_string(failed) + ": " + (message == nullptr ? "no message" : message));
    }
    return static_cast<bool>(array_);
  }
  return std::exchange(single_, false);
}

span<const std::string_view> TextReader::next(std::size_t max_bytes, std::size_t first_position) {
  views_.clear();
  text_ids_.clear();
  integer_ids_.clear();
  // Arrays without rows are passed over.
  while (!array_ || single_ || row_ >= array_->length) {
    if (!load()) {
      array_.reset();
      stream_.reset();
      return {};
    }
  }
  const Array& table = *array_.get();
  const auto child_of = [&](const Column& column) -> const Array& {
    if (column.child < 0) return table;
    if (column.child >= table.n_children || table.children == nullptr || table.children[column.child] == nullptr)
      throw value_error(options_.argument + ": expected Arrow arrays with the columns of their schema, got a "
                        "malformed one");
    return *table.children[column.child];
  };
  // The offset of a struct counts within its children too.
  const std::int64_t base = struct_ ? table.offset : 0;
  if (base < 0 || table.length < 0 || base > std::numeric_limits<std::int64_t>::max() - table.length)
    throw value_error(options_.argument + ": expected Arrow arrays with lengths and offsets of 0 or more, got a "
                      "malformed one");
  std::vector<Cells> cells;
  cells.reserve(texts_.size());
  for (const Column& column : texts_)
    cells.emplace_back(column, child_of(column), base + table.length, options_.argument, options_.null_hint);
  static const std::string ids = "ids";
  std::optional<Cells> keys;
  if (ids_) keys.emplace(*ids_, child_of(*ids_), base + table.length, ids, options_.null_hint);
  std::size_t bytes = 0;
  for (std::size_t n = 0; row_ < table.length && bytes < max_bytes; ++row_, ++n) {
    const std::size_t position = first_position + n;
    if (struct_ && is_null(table, row_))
      throw value_error(options_.argument + ": expected no nulls, got one at index " + std::to_string(position));
    for (const Cells& column : cells) {
      views_.push_back(column.text(base + row_, position));
      bytes += views_.back().size() + 1;
    }
    if (keys && has_integer_ids()) {
      integer_ids_.push_back(keys->integer(base + row_, position));
    } else if (keys) {
      text_ids_.push_back(keys->text(base + row_, position));
    }
  }
  check_utf8({views_.data(), views_.size()}, n_parts(), options_.argument, first_position);
  check_utf8({text_ids_.data(), text_ids_.size()}, 1, ids, first_position);
  return {views_.data(), views_.size()};
}

}  // namespace likewise::search::arrow
