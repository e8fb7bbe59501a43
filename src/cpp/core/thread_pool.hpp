// The one thread pool of the process, and what every native call needs around it: the number of usable CPUs, a way to
// be interrupted, and the default floating-point mode.
#pragma once
#include <cfenv>
#include <cstddef>
#include <functional>
#include <mutex>

#include "likewise/error.hpp"

namespace likewise {

/// Thrown at a safe point after the caller asked to stop (Python: KeyboardInterrupt is already set).
class interrupted : public error {
 public:
  interrupted() : error("interrupted") {}
};

/// CPUs that this process may use: the affinity mask and the cgroup's quota, capped by LIKEWISE_NUM_THREADS (which
/// throws value_error unless it is a positive integer). At least 1.
unsigned available_threads();

/// Runs body(0), ..., body(n - 1), each once, on at most `n_threads` threads of which the caller's is one, in the default
/// floating-point mode. No thread is made or woken for n_threads = 1, n < 2, or a call from inside a piece: those run
/// inline, in order. If pieces throw, the exception of the lowest-numbered one is thrown here, after all that had begun
/// have ended. Safe to call from any number of threads, and in a child after fork, where a new pool is built.
void parallel_for(std::size_t n, unsigned n_threads, const std::function<void(std::size_t)>& body);

/// The lock under which objects derive what they need at first use. One for the process, made anew in a forked child:
/// what it guards must be published only when it is complete, as the child may find it half done and nobody at work.
std::mutex& lazy_initialisation_mutex();

/// While one lives, poll_interrupt() on this thread (and in the pieces of its parallel_for) asks `wants_to_stop` at most
/// every 50 ms. Does nothing for nullptr.
class InterruptScope {
 public:
  explicit InterruptScope(bool (*wants_to_stop)());
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

 private:
  bool (*outer_)();
};

/// A safe point: throws `interrupted` if the caller wants to stop. A few ns where nobody can.
void poll_interrupt();

/// Default rounding and no flush-to-zero while it lives; the caller's mode afterwards. Costs a few ns where the mode is
/// the default one already (measured: fegetenv and fesetenv cost 290 ns, more than a short query may).
class FloatEnvironment {
 public:
#if defined(__x86_64__)
  FloatEnvironment() : saved_(__builtin_ia32_stmxcsr()) {
    if (changed()) __builtin_ia32_ldmxcsr(kDefault);
  }
  ~FloatEnvironment() {
    if (changed()) __builtin_ia32_ldmxcsr(saved_);
  }
#else
  FloatEnvironment() {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~FloatEnvironment() { std::fesetenv(&saved_); }
#endif
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;

 private:
#if defined(__x86_64__)
  static constexpr unsigned kDefault = 0x1F80, kFlags = 0x3F;  // all exceptions masked; sticky flags do not matter
  bool changed() const { return (saved_ & ~kFlags) != kDefault; }
  unsigned saved_;
#else
  std::fenv_t saved_;
#endif
};

}  // namespace likewise
