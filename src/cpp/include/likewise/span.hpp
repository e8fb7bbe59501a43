#pragma once
#include <cstddef>
#include <type_traits>
#include <vector>

namespace likewise {

/// A pointer and a length; does not own. (std::span is C++20.)
template <class T>
struct span {
  T* data = nullptr;
  std::size_t size = 0;

  constexpr span() = default;
  constexpr span(T* first, std::size_t count) : data(first), size(count) {}
  template <class U, class = std::enable_if_t<std::is_same_v<const U, T>>>
  constexpr span(const span<U>& other) : data(other.data), size(other.size) {}
  template <class U>
  span(const std::vector<U>& values) : data(values.data()), size(values.size()) {}
  template <class U>
  span(std::vector<U>& values) : data(values.data()), size(values.size()) {}

  constexpr T* begin() const { return data; }
  constexpr T* end() const { return data + size; }
  constexpr T& operator[](std::size_t i) const { return data[i]; }
  constexpr bool empty() const { return size == 0; }
};

}  // namespace likewise
