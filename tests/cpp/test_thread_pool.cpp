// The pool under everything that breaks pools: nesting, exceptions, forks at any moment, foreign floating-point modes.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <chrono>
#include <fstream>
#include <functional>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "core/thread_pool.hpp"

using likewise::parallel_for;
using Clock = std::chrono::steady_clock;

namespace {

#if defined(LIKEWISE_WITHOUT_FORK_HANDLER)
constexpr int kPatience = 2;
#else
constexpr int kPatience = 20;
#endif

std::size_t threads_of_process() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("Threads:", 0) == 0) return std::stoul(line.substr(8));
  return 0;
}

/// Sum of i * i over pieces, by the pool.
std::uint64_t squares(std::size_t n, unsigned n_threads) {
  std::vector<std::uint64_t> parts(n);
  parallel_for(n, n_threads, [&](std::size_t i) { parts[i] = i * i; });
  std::uint64_t sum = 0;
  for (const std::uint64_t part : parts) sum += part;
  return sum;
}
constexpr std::uint64_t kSquares100 = 328350;  // 0 + 1 + ... + 99^2

void sleep_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

/// Runs `body` in a forked child; its exit status, or -1 after `seconds`.
int in_child(const std::function<int()>& body, int seconds = kPatience) {
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    int status = 99;
    try {
      status = body();
    } catch (...) {
    }
    _exit(status);
  }
  for (int waited = 0; waited < seconds * 100; ++waited) {
    int status = 0;
    if (waitpid(child, &status, WNOHANG) == child) return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
    sleep_ms(10);
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  return -1;
}

int right(bool value) { return value ? 0 : 1; }

}  // namespace

CASE(one_thread_makes_no_thread) {
  const std::size_t before = threads_of_process();
  CHECK(squares(100, 1) == kSquares100);
  CHECK(squares(1, 8) == 0 && squares(0, 8) == 0);
  CHECK(threads_of_process() == before);
}

CASE(one_thread_runs_in_order) {
  std::vector<std::size_t> order;
  parallel_for(50, 1, [&](std::size_t i) { order.push_back(i); });
  CHECK(order.size() == 50 && std::is_sorted(order.begin(), order.end()));
}

CASE(every_piece_runs_once) {
  for (const unsigned n_threads : {2u, 3u, 8u, 64u}) {
    std::vector<std::atomic<int>> runs(1000);
    parallel_for(1000, n_threads, [&](std::size_t i) { ++runs[i]; });
    for (const auto& n : runs) CHECK(n == 1);
  }
}

CASE(helpers_are_used_and_kept_few) {
  std::atomic<int> arrived{0};
  const auto stop = Clock::now() + std::chrono::seconds(20);
  parallel_for(2, 2, [&](std::size_t) {  // each piece waits for the other: one thread alone would never end
    ++arrived;
    while (arrived < 2 && Clock::now() < stop) std::this_thread::yield();
  });
  CHECK(arrived == 2);
  for (int i = 0; i < 3000; ++i) squares(4, 2);
  CHECK(threads_of_process() <= 70);  // those that the case above made, and a sanitizer's own
}

CASE(nested_calls_run_inline) {
  std::atomic<bool> stayed{true};
  parallel_for(8, 4, [&](std::size_t) {
    const std::thread::id here = std::this_thread::get_id();
    parallel_for(8, 4, [&](std::size_t) {
      if (std::this_thread::get_id() != here) stayed = false;
    });
  });
  CHECK(stayed);
}

CASE(the_lowest_numbered_exception_wins) {
  for (const unsigned n_threads : {1u, 2u, 4u}) {
    for (int repeat = 0; repeat < 50; ++repeat) {
      std::string text;
      try {
        parallel_for(100, n_threads, [&](std::size_t i) {
          if (i == 20) sleep_ms(repeat % 3);
          if (i >= 20) throw std::runtime_error(std::to_string(i));
        });
      } catch (const std::runtime_error& e) {
        text = e.what();
      }
      CHECK(text == "20");
    }
  }
  CHECK(squares(100, 4) == kSquares100);
}

CASE(bad_alloc_in_a_piece) {
  CHECK_THROWS(std::bad_alloc, parallel_for(8, 4, [](std::size_t i) {
    if (i == 3) throw std::bad_alloc();
  }));
  CHECK(squares(100, 4) == kSquares100);
}

CASE(calls_from_many_threads) {
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 6; ++c)
    callers.emplace_back([&] {
      for (int i = 0; i < 500; ++i) wrong += squares(100, 3) != kSquares100;
    });
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong == 0);
}

CASE(fork_after_use_and_fork_in_a_fork) {
  CHECK(squares(100, 4) == kSquares100);
  CHECK(in_child([] { return right(squares(100, 4) == kSquares100); }) == 0);
  CHECK(in_child([] {
          if (squares(100, 4) != kSquares100) return 1;
          return in_child([] { return right(squares(100, 4) == kSquares100); });
        }) == 0);
  CHECK(in_child([] { return in_child([] { return right(squares(100, 4) == kSquares100); }); }) == 0);
  CHECK(squares(100, 4) == kSquares100);
}

// ThreadSanitizer itself cannot make threads in the child of a process that had some.
#if defined(__SANITIZE_THREAD__)
constexpr unsigned kChildThreads = 1;
#else
constexpr unsigned kChildThreads = 4;
#endif

CASE(fork_while_others_are_inside) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      while (!stop) squares(100, 4);
    });
  callers.emplace_back([&] {  // somebody derives something slow, again and again
    while (!stop) {
      const std::lock_guard<std::mutex> lock(likewise::lazy_initialisation_mutex());
      sleep_ms(3);
    }
  });
  int failures = 0;
  for (int i = 0; i < 60 && failures == 0; ++i)
    failures += in_child([] {
                  const std::lock_guard<std::mutex> lock(likewise::lazy_initialisation_mutex());
                  return right(squares(100, kChildThreads) == kSquares100);
                }) != 0;
  stop = true;
  for (std::thread& caller : callers) caller.join();
  CHECK(failures == 0);
  CHECK(squares(100, 4) == kSquares100);
}

CASE(a_fork_waits_for_no_lock) {
  // The forking thread may hold Python's lock, which the owner of ours may need before it can let go.
  std::atomic<bool> inside{false}, forked{false};
  std::thread owner([&] {
    const std::lock_guard<std::mutex> lock(likewise::lazy_initialisation_mutex());
    inside = true;
    for (int i = 0; i < 1000 && !forked; ++i) sleep_ms(10);
  });
  while (!inside) sleep_ms(1);
  const auto before = Clock::now();
  CHECK(in_child([] { return 0; }) == 0);
  CHECK(Clock::now() - before < std::chrono::seconds(5));
  forked = true;
  owner.join();
}

CASE(interruption_ends_all_pieces) {
  static std::atomic<int> questions{0};
  questions = 0;
  for (const unsigned n_threads : {1u, 2u, 4u}) {
    questions = 0;
    const auto before = Clock::now();
    const likewise::InterruptScope scope([] { return questions.fetch_add(1) == 0; });  // true once, as Python's signals
    CHECK_THROWS(likewise::interrupted, parallel_for(64, n_threads, [&](std::size_t) {
      for (int i = 0; i < 3000; ++i) {
        likewise::poll_interrupt();
        sleep_ms(1);
      }
    }));
    CHECK(Clock::now() - before < std::chrono::milliseconds(1500));  // required is 0.5 s; the machine may be busy
  }
  likewise::poll_interrupt();  // nobody to ask any more
}

CASE(interruption_while_only_helpers_work) {
  static std::atomic<bool> pressed{false};
  pressed = false;
  const std::thread::id caller = std::this_thread::get_id();
  const likewise::InterruptScope scope([] { return pressed.load(); });
  std::atomic<bool> helper_came{false};
  CHECK_THROWS(likewise::interrupted, parallel_for(2, 2, [&](std::size_t) {
    if (std::this_thread::get_id() == caller) {
      while (!helper_came) sleep_ms(1);
      pressed = true;
      return;
    }
    helper_came = true;
    for (int i = 0; i < 3000; ++i) {
      likewise::poll_interrupt();
      sleep_ms(1);
    }
  }));
}

CASE(scopes_nest) {
  const likewise::InterruptScope outer([] { return true; });
  { const likewise::InterruptScope inner([] { return false; }); }
  sleep_ms(60);
  CHECK_THROWS(likewise::interrupted, likewise::poll_interrupt());
}

CASE(the_floating_point_mode_is_the_default_one) {
  volatile double third = 3.0, tiny = 5e-324;
  const double expected = 1.0 / third;
  std::fesetround(FE_UPWARD);
#if defined(__x86_64__)
  __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);  // flush to zero, denormals are zero
#endif
  for (const unsigned n_threads : {1u, 4u}) {
    std::atomic<int> wrong{0};
    parallel_for(64, n_threads, [&](std::size_t) { wrong += 1.0 / third != expected || !(tiny * 1.0 > 0); });
    CHECK(wrong == 0);
  }
  CHECK(std::fegetround() == FE_UPWARD);
  std::fesetround(FE_TONEAREST);
#if defined(__x86_64__)
  CHECK((__builtin_ia32_stmxcsr() & 0x8040) == 0x8040);
  __builtin_ia32_ldmxcsr(0x1F80);
#endif
}

CASE(available_threads_and_its_cap) {
  unsetenv("LIKEWISE_NUM_THREADS");
  const unsigned all = likewise::available_threads();
  CHECK(all >= 1);
  setenv("LIKEWISE_NUM_THREADS", "1", 1);
  CHECK(likewise::available_threads() == 1);
  setenv("LIKEWISE_NUM_THREADS", "1024", 1);
  CHECK(likewise::available_threads() == all);
  for (const char* bad : {"0", "-1", "1025", "two", "1.5", "1 "}) {
    setenv("LIKEWISE_NUM_THREADS", bad, 1);
    CHECK_THROWS(likewise::value_error, likewise::available_threads());
  }
  unsetenv("LIKEWISE_NUM_THREADS");
}

CASE(waking_costs_little) {
  // Printed, not asserted: the bar (20 us for 2 threads) holds on a quiet machine.
  std::vector<double> times;
  for (int i = 0; i < 2000; ++i) {
    const auto before = Clock::now();
    parallel_for(2, 2, [](std::size_t) {});
    times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - before).count());
  }
  std::nth_element(times.begin(), times.begin() + 1000, times.end());
  std::printf("parallel_for(2, 2, nothing): median %.1f us\n", times[1000]);
}
