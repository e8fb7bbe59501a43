// What the bindings of scanners, builders and Arrow readers share.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings/arrays.hpp"
#include "likewise/search/building.hpp"

namespace likewise::bindings {

inline constexpr std::size_t kChunkBytes = std::size_t{1} << 22;  // of text a call, so that memory stays bounded

inline pybind11::str str_of(std::string_view utf8) {
  PyObject* text = PyUnicode_DecodeUTF8(utf8.data(), static_cast<pybind11::ssize_t>(utf8.size()), "strict");
  if (text == nullptr) throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::str>(text);
}

/// An array that owns the vector's memory.
template <class T>
pybind11::array_t<T> array_from(std::vector<T>&& values) {
  auto owner = std::make_unique<std::vector<T>>(std::move(values));
  const auto n = static_cast<pybind11::ssize_t>(owner->size());
  T* const data = owner->data();
  const pybind11::capsule capsule(owner.get(), [](void* p) { delete static_cast<std::vector<T>*>(p); });
  owner.release();
  return pybind11::array_t<T>(n, data, capsule);
}

/// A scanner or builder, and whether a call is inside it: the GIL is released there, so that a second thread could
/// enter.
template <class T>
struct Guarded {
  template <class... Args>
  explicit Guarded(Args&&... args) : object(std::forward<Args>(args)...) {}
  T object;
  bool busy = false;
};

template <class T>
class Use {
 public:
  explicit Use(Guarded<T>& guarded) : guarded_(guarded) {
    if (guarded_.busy) throw boundary_error("self: expected one call at a time");
    guarded_.busy = true;
  }
  ~Use() { guarded_.busy = false; }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

 private:
  Guarded<T>& guarded_;
};

using PyScanner = Guarded<search::Scanner>;

}  // namespace likewise::bindings
