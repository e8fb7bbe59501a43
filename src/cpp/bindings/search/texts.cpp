#include "bindings/search/texts.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>

#include "likewise/error.hpp"

namespace likewise::bindings {

Texts::~Texts() { clear(); }

void Texts::clear() {
  for (PyObject* object : owned_) Py_DECREF(object);
  owned_.clear();
  views_.clear();
  blocks_.clear();
  free_ = nullptr;
  left_ = bytes_ = 0;
}

void Texts::reserve(std::size_t n) {
  views_.reserve(n);
  owned_.reserve(n);
}

char* Texts::allocate(std::size_t size) {
  constexpr std::size_t kBlock = std::size_t{1} << 16;
  if (size > left_) {
    left_ = std::max(size, kBlock);
    blocks_.emplace_back(new char[left_]);  // not make_unique, which would fill it
    free_ = blocks_.back().get();
  }
  return free_;
}

template <class Code>
std::string_view Texts::encode(const Code* codes, std::size_t n, std::size_t longest) {
  char* const begin = allocate(n * longest);
  char* out = begin;
  const auto put = [&out](std::uint32_t byte) { *out++ = static_cast<char>(static_cast<unsigned char>(byte)); };
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t code = codes[i];
    if (code < 0x80) {
      put(code);
    } else if (code < 0x800) {
      put(0xC0 | code >> 6);
      put(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
      if (code - 0xD800 < 0x800) {
        char name[16];
        std::snprintf(name, sizeof name, "U+%04X", static_cast<unsigned>(code));
        throw value_error(std::string(argument_) + ": expected valid Unicode, got a lone surrogate " + name +
                          " at index " + std::to_string(first_position_ + views_.size() / n_parts_) +
                          " in character " + std::to_string(i));
      }
      put(0xE0 | code >> 12);
      put(0x80 | (code >> 6 & 0x3F));
      put(0x80 | (code & 0x3F));
    } else {
      put(0xF0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3F));
      put(0x80 | (code >> 6 & 0x3F));
      put(0x80 | (code & 0x3F));
    }
  }
  const auto size = static_cast<std::size_t>(out - begin);
  free_ += size;
  left_ -= size;
  return {begin, size};
}

void Texts::add(PyObject* text) {
  if (!PyUnicode_Check(text))
    throw type_error(std::string(argument_) + ": expected a str, got " + Py_TYPE(text)->tp_name + " at index " +
                     std::to_string(first_position_ + views_.size() / n_parts_));
#if PY_VERSION_HEX < 0x030C0000
  if (PyUnicode_READY(text) != 0) throw pybind11::error_already_set();
#endif
  const auto n = static_cast<std::size_t>(PyUnicode_GET_LENGTH(text));
  const void* data = PyUnicode_DATA(text);
  std::string_view view;
  if (PyUnicode_IS_ASCII(text)) {
    view = {static_cast<const char*>(data), n};
    owned_.push_back(text);
    Py_INCREF(text);
  } else {
    switch (PyUnicode_KIND(text)) {
      case PyUnicode_1BYTE_KIND: view = encode(static_cast<const Py_UCS1*>(data), n, 2); break;
      case PyUnicode_2BYTE_KIND: view = encode(static_cast<const Py_UCS2*>(data), n, 3); break;
      default: view = encode(static_cast<const Py_UCS4*>(data), n, 4); break;
    }
  }
  views_.push_back(view);
  bytes_ += view.size();
}

}  // namespace likewise::bindings
