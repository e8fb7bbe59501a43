#include "core/thread_pool.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <exception>
#include <fstream>
#include <limits>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <vector>
#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace likewise {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPollInterval = std::chrono::milliseconds(50);

// The innermost source of interruption on this thread: a scope that asks the caller, or a job that was cancelled.
struct Interruption {
  bool (*wants_to_stop)() = nullptr;
  const std::atomic<bool>* cancelled = nullptr;
  Clock::time_point next_question{};
};
thread_local Interruption interruption;
thread_local bool inside_piece = false;

bool asked_to_stop() {
  if (interruption.cancelled != nullptr && interruption.cancelled->load(std::memory_order_relaxed)) return true;
  if (interruption.wants_to_stop == nullptr) return false;
  const Clock::time_point now = Clock::now();
  if (now < interruption.next_question) return false;
  interruption.next_question = now + kPollInterval;
  return interruption.wants_to_stop();
}

struct Job {
  std::size_t n;
  const std::function<void(std::size_t)>* body;
  std::size_t helpers_wanted;  // guarded by the pool's mutex, as are the next two
  std::size_t helpers_inside = 0;
  std::condition_variable done;
  std::atomic<std::size_t> next{0};
  std::atomic<bool> failed{false};     // no further piece begins
  std::atomic<bool> cancelled{false};  // the caller wants to stop: pieces that poll end too
  std::mutex failure_mutex;
  std::size_t failed_piece = std::numeric_limits<std::size_t>::max();
  std::exception_ptr failure;

  void work() {
    const bool was_inside = inside_piece;
    inside_piece = true;
    // Pieces are handed out in order, so all below a failed one have begun.
    for (std::size_t i; !failed.load(std::memory_order_relaxed) && !cancelled.load(std::memory_order_relaxed) &&
                        (i = next.fetch_add(1)) < n;) {
      try {
        (*body)(i);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(failure_mutex);
        if (i < failed_piece) {
          failed_piece = i;
          failure = std::current_exception();
        }
        failed.store(true);
      }
    }
    inside_piece = was_inside;
  }
};

struct Pool {
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<Job*> jobs;  // that still want helpers
  std::size_t n_threads = 0, n_idle = 0;

  void serve() {
    std::fesetenv(FE_DFL_ENV);
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
      ++n_idle;
      wake.wait(lock, [&] { return !jobs.empty(); });
      --n_idle;
      Job* job = jobs.front();
      if (--job->helpers_wanted == 0) jobs.pop_front();
      ++job->helpers_inside;
      lock.unlock();
      interruption.cancelled = &job->cancelled;
      job->work();
      interruption.cancelled = nullptr;
      lock.lock();
      if (--job->helpers_inside == 0) job->done.notify_all();
    }
  }

  /// Threads for what is queued. A thread that cannot be made is done without: the caller works too.
  void grow(std::size_t wanted) {
    while (n_idle < wanted && n_threads < 1024) {
      try {
        std::thread([this] { serve(); }).detach();
      } catch (const std::system_error&) {
        return;
      }
      ++n_threads;
      --wanted;
    }
  }

  void run(Job& job) {
    {
      const std::lock_guard<std::mutex> lock(mutex);
      jobs.push_back(&job);
      grow(job.helpers_wanted);
    }
    wake.notify_all();
    job.work();
    std::unique_lock<std::mutex> lock(mutex);
    const auto queued = std::find(jobs.begin(), jobs.end(), &job);
    if (queued != jobs.end()) jobs.erase(queued);  // no helper came: nothing is left for one
    while (job.helpers_inside > 0) {
      if (interruption.wants_to_stop == nullptr) {
        job.done.wait(lock);
      } else if (job.done.wait_for(lock, kPollInterval) == std::cv_status::timeout) {
        lock.unlock();
        if (asked_to_stop()) job.cancelled.store(true);
        lock.lock();
      }
    }
  }
};

// Never destroyed: detached threads may outlive static destruction, and a forked child abandons its parent's pool.
std::atomic<Pool*> current_pool{nullptr};
std::mutex creation_mutex, lazy_mutex;

#if defined(__unix__) || defined(__APPLE__)
void before_fork() {
  lazy_mutex.lock();  // first: its holder may be running pieces on the pool
  creation_mutex.lock();
  if (Pool* pool = current_pool.load()) pool->mutex.lock();
}
void after_fork_in_parent() {
  if (Pool* pool = current_pool.load()) pool->mutex.unlock();
  creation_mutex.unlock();
  lazy_mutex.unlock();
}
void after_fork_in_child() {
  current_pool.store(nullptr);  // its threads are gone, its condition variables may be mid-wait: leave it as it is
  creation_mutex.unlock();
  lazy_mutex.unlock();
}
void handle_forks() {
  static std::once_flag once;
  std::call_once(once, [] { pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child); });
}
#else
void handle_forks() {}
#endif

Pool& pool() {
  if (Pool* found = current_pool.load(std::memory_order_acquire)) return *found;
  handle_forks();
  const std::lock_guard<std::mutex> lock(creation_mutex);
  if (Pool* found = current_pool.load()) return *found;
  Pool* made = new Pool;
  current_pool.store(made, std::memory_order_release);
  return *made;
}

/// CPUs' worth of time that cgroup v2 grants, or 0.
unsigned cgroup_quota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || !(period > 0)) return 0;
  return static_cast<unsigned>(std::max(1.0, std::strtod(quota.c_str(), nullptr) / period));
}

unsigned from_environment() {
  const char* value = std::getenv("LIKEWISE_NUM_THREADS");
  if (value == nullptr || *value == 0) return 0;
  char* end = nullptr;
  const long n = std::strtol(value, &end, 10);
  if (*end != 0 || n < 1 || n > 1024)
    throw value_error("LIKEWISE_NUM_THREADS: expected an integer from 1 to 1024, got '" + std::string(value) + "'");
  return static_cast<unsigned>(n);
}

}  // namespace

unsigned available_threads() {
  unsigned n = std::max(1u, std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) n = std::max(1u, static_cast<unsigned>(CPU_COUNT(&set)));
#endif
  if (const unsigned quota = cgroup_quota(); quota != 0) n = std::min(n, quota);
  if (const unsigned cap = from_environment(); cap != 0) n = std::min(n, cap);
  return n;
}

void parallel_for(std::size_t n, unsigned n_threads, const std::function<void(std::size_t)>& body) {
  if (n_threads <= 1 || n < 2 || inside_piece) {
    for (std::size_t i = 0; i < n; ++i) body(i);
    return;
  }
  Job job;
  job.n = n;
  job.body = &body;
  job.helpers_wanted = std::min<std::size_t>(n_threads, n) - 1;
  pool().run(job);
  if (job.failure) std::rethrow_exception(job.failure);
  if (job.cancelled.load()) throw interrupted();
}

std::mutex& lazy_initialisation_mutex() {
  handle_forks();
  return lazy_mutex;
}

InterruptScope::InterruptScope(bool (*wants_to_stop)()) {
  interruption.wants_to_stop = wants_to_stop;
  interruption.next_question = Clock::now() + kPollInterval;
}
InterruptScope::~InterruptScope() { interruption.wants_to_stop = nullptr; }

void poll_interrupt() {
  if (interruption.wants_to_stop == nullptr && interruption.cancelled == nullptr) return;
  if (asked_to_stop()) throw interrupted();
}

}  // namespace likewise
