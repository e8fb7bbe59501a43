// The runner of the tests of the core: CASE(name) { ... CHECK(condition); ... }, one program a file.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <vector>

namespace check {

struct Case {
  const char* name;
  void (*run)();
};
inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}
struct Register {
  Register(const char* name, void (*run)()) { cases().push_back({name, run}); }
};

}  // namespace check

#define CASE(name)                                        \
  static void case_##name();                              \
  static const check::Register register_##name(#name, &case_##name); \
  static void case_##name()

#define CHECK(condition)                                                                \
  do {                                                                                  \
    if (!(condition)) {                                                                 \
      std::fprintf(stderr, "%s:%d: CHECK(%s) failed\n", __FILE__, __LINE__, #condition); \
      std::fflush(stderr);                                                              \
      std::_Exit(1);                                                                    \
    }                                                                                   \
  } while (false)

#define CHECK_THROWS(type, expression)                    \
  do {                                                    \
    bool thrown = false;                                  \
    try {                                                 \
      static_cast<void>(expression);                      \
    } catch (const type&) {                               \
      thrown = true;                                      \
    }                                                     \
    CHECK(thrown&& #expression);                          \
  } while (false)

int main() {
  for (const check::Case& c : check::cases()) {
    try {
      c.run();
    } catch (const std::exception& e) {
      std::fprintf(stderr, "%s: unexpected exception: %s\n", c.name, e.what());
      return 1;
    }
    std::printf("%s: ok\n", c.name);
    std::fflush(stdout);
  }
  return 0;
}
