// The choice of the CPU level. Every choice is made in a child of its own: it is made once a process.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "check.hpp"
#include "core/dispatch.hpp"
#include "likewise/error.hpp"

namespace {

/// The level chosen under LIKEWISE_CPU_LEVEL=request, or the text of the error.
std::string chosen(const char* request) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    if (request == nullptr) {
      unsetenv("LIKEWISE_CPU_LEVEL");
    } else {
      setenv("LIKEWISE_CPU_LEVEL", request, 1);
    }
    std::string answer;
    try {
      answer = likewise::kernel_table().level;
    } catch (const likewise::value_error& e) {
      answer = e.what();
    }
    _exit(write(ends[1], answer.data(), answer.size()) < 0);
  }
  close(ends[1]);
  char text[200] = {};
  CHECK(read(ends[0], text, sizeof text - 1) > 0);
  close(ends[0]);
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  return text;
}

}  // namespace

CASE(every_level_can_be_forced) {
  const likewise::LevelReport report = likewise::level_report();
  CHECK(!report.available.empty());
  for (const std::string& level : report.available) CHECK(chosen(level.c_str()) == level);
  CHECK(chosen(nullptr) == report.available.back());
  CHECK(chosen("") == report.available.back());
}

CASE(a_level_above_the_machine_is_capped) {
  const likewise::LevelReport report = likewise::level_report();
  for (const std::string& level : report.known)
    if (std::find(report.available.begin(), report.available.end(), level) == report.available.end())
      CHECK(chosen(level.c_str()) == report.available.back());
}

CASE(an_unknown_level_is_refused) {
  const std::string text = chosen("v9");
  CHECK(text.find("LIKEWISE_CPU_LEVEL: expected one of ") == 0 && text.find("got 'v9'") != std::string::npos);
  for (const std::string& level : likewise::level_report().known) CHECK(text.find(level) != std::string::npos);
}

