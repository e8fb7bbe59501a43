// Python strings as UTF-8, read where they lie. Never the copy that PyUnicode_AsUTF8 would leave inside each str.
#pragma once
#include <pybind11/pybind11.h>

#include <memory>
#include <string_view>
#include <vector>

namespace likewise::bindings {

/// Views of strs, with the strs kept alive, so that they can be read while the GIL is released. Compact ASCII (most
/// texts) is not copied; other strs are encoded into memory that is freed with this object. Needs the GIL throughout.
class Texts {
 public:
  /// Messages name `argument` and the position, counted from `first_position`, a document being `n_parts` texts.
  explicit Texts(const char* argument, std::size_t first_position = 0, std::size_t n_parts = 1)
      : argument_(argument), first_position_(first_position), n_parts_(n_parts) {}
  Texts(const Texts&) = delete;
  Texts& operator=(const Texts&) = delete;
  ~Texts();

  /// Adds a str. Throws type_error for another object, value_error for a lone surrogate.
  void add(PyObject* text);
  void reserve(std::size_t n);
  void clear();
  const std::vector<std::string_view>& views() const { return views_; }
  std::size_t bytes() const { return bytes_; }

 private:
  char* allocate(std::size_t size);
  template <class Code>
  std::string_view encode(const Code* codes, std::size_t n, std::size_t longest);

  const char* argument_;
  std::size_t first_position_, n_parts_;
  std::vector<std::string_view> views_;
  std::vector<PyObject*> owned_;
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* free_ = nullptr;
  std::size_t left_ = 0, bytes_ = 0;
};

/// The UTF-8 of one str: `use(std::string_view)`.
template <class Use>
auto with_text(const pybind11::handle& text, const char* argument, const Use& use) {
  Texts one(argument);
  one.add(text.ptr());
  return use(one.views()[0]);
}

}  // namespace likewise::bindings
