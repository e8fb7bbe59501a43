#pragma once
#include <stdexcept>
#include <string>

#include "likewise/version.hpp"

namespace likewise {

/// Base of everything the core throws on purpose. The text names the argument: "<argument>: expected ..., got ...".
class error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A wrong value (Python: ValueError).
class value_error : public error {
 public:
  using error::error;
};

/// A wrong kind of object (Python: TypeError).
class type_error : public error {
 public:
  using error::error;
};

/// Stored bytes that break the rules of their format (Python: likewise.errors.CorruptFileError).
class corrupt_error : public error {
 public:
  corrupt_error(std::string array, const std::string& reason) : error(reason), array_(std::move(array)) {}
  const std::string& array() const noexcept { return array_; }

 private:
  std::string array_;
};

}  // namespace likewise
