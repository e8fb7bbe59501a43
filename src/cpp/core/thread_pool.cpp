#include "core/thread_pool.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <exception>
#include <fstream>
#include <limits>
#include <memory>
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

/// Polls until done() holds, or for the time given. Returns whether it holds.
template <class Pause, class Done>
bool spin_until(std::chrono::microseconds longest, const Pause& pause, const Done& done) {
  if (done()) return true;
  const Clock::time_point stop = Clock::now() + longest;
  do {
    pause();
    if (done()) return true;
  } while (Clock::now() < stop);
  return false;
}

/// Waits for what another thread is about to do.
template <class Done>
bool wait_briefly(const Done& done) {
  const auto pause = [] {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  };
  return spin_until(std::chrono::microseconds(10), pause, done);
}

/// Waits for work, for about as long as falling asleep and being woken take. Whoever else wants the core gets it.
template <class Done>
void wait_for_work(const Done& done) {
  spin_until(std::chrono::microseconds(50), [] { std::this_thread::yield(); }, done);
}

/// Locks a mutex that is held for some instructions at a time: asleep behind it, a thread would lose far more.
std::unique_lock<std::mutex> lock_soon(std::mutex& mutex) {
  if (wait_briefly([&] { return mutex.try_lock(); })) return {mutex, std::adopt_lock};
  return std::unique_lock<std::mutex>(mutex);
}

struct Job {
  std::size_t n;
  const std::function<void(std::size_t)>* body;
  std::size_t helpers_wanted;                  // guarded by the pool's mutex
  std::atomic<std::size_t> helpers_inside{0};  // changed under it too
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
      } catch (const interrupted&) {
        cancelled.store(true);  // the question was answered: the other pieces must not ask again
        record(i);
      } catch (...) {
        record(i);
      }
    }
    inside_piece = was_inside;
  }

 private:
  void record(std::size_t piece) {
    const std::lock_guard<std::mutex> lock(failure_mutex);
    if (piece < failed_piece) {
      failed_piece = piece;
      failure = std::current_exception();
    }
    failed.store(true);
  }
};

struct Pool {
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<Job*> jobs;  // that still want helpers
  std::size_t n_threads = 0, n_busy = 0, n_spinning = 0;
  std::atomic<std::size_t> n_wanted{0};  // changed under the mutex, as all the others are

  void serve() {
    const FloatEnvironment environment;
    auto lock = lock_soon(mutex);
    for (;;) {
      if (jobs.empty()) {  // the next job often comes at once
        ++n_spinning;
        lock.unlock();
        wait_for_work([this] { return n_wanted.load(std::memory_order_relaxed) > 0; });
        lock = lock_soon(mutex);
        --n_spinning;
      }
      wake.wait(lock, [&] { return !jobs.empty(); });
      Job* job = jobs.front();
      if (--job->helpers_wanted == 0) jobs.pop_front();
      --n_wanted;
      ++n_busy;
      ++job->helpers_inside;
      lock.unlock();
      interruption.cancelled = &job->cancelled;
      job->work();
      interruption.cancelled = nullptr;
      lock = lock_soon(mutex);
      --n_busy;
      if (--job->helpers_inside == 0) job->done.notify_all();  // under the lock: its owner may destroy it afterwards
    }
  }

  /// Threads for what is wanted. A thread that cannot be made is done without: the caller works too.
  void grow() {
    while (n_threads - n_busy < n_wanted && n_threads < 1024) {
      try {
        std::thread([this] { serve(); }).detach();
      } catch (...) {  // too many threads, no memory for one
        return;
      }
      ++n_threads;
    }
  }

  void run(Job& job) {
    std::size_t n_asleep = 0;
    {
      const auto lock = lock_soon(mutex);
      jobs.push_back(&job);
      n_wanted += job.helpers_wanted;
      grow();
      // Who spins looks at the jobs once more before it sleeps.
      if (n_wanted > n_spinning) n_asleep = std::min(job.helpers_wanted, n_wanted - n_spinning);
    }
    for (std::size_t i = 0; i < n_asleep; ++i) wake.notify_one();
    job.work();
    wait_briefly([&] { return job.helpers_inside.load(std::memory_order_relaxed) == 0; });
    auto lock = lock_soon(mutex);
    const auto queued = std::find(jobs.begin(), jobs.end(), &job);
    if (queued != jobs.end()) {  // not all helpers came: nothing is left for them
      jobs.erase(queued);
      n_wanted -= job.helpers_wanted;
    }
    while (job.helpers_inside > 0) {
      if (interruption.wants_to_stop == nullptr) {
        job.done.wait(lock);
      } else if (job.done.wait_for(lock, kPollInterval) == std::cv_status::timeout) {
        lock.unlock();
        if (!job.cancelled.load() && asked_to_stop()) job.cancelled.store(true);
        lock.lock();
      }
    }
  }
};

// Never destroyed: detached threads may outlive static destruction.
std::atomic<Pool*> current_pool{nullptr};
std::mutex lazy_mutex;

#if (defined(__unix__) || defined(__APPLE__)) && !defined(LIKEWISE_WITHOUT_FORK_HANDLER)  // only a test leaves it out
// A child abandons its parent's pool as it is: the threads are gone, a lock may be held, a condition variable may be
// mid-wait. Nothing is locked before a fork, so a fork waits for nobody: the forking thread may hold a lock (Python's)
// that a thread inside a native call needs before it can leave.
void after_fork_in_child() {
  current_pool.store(nullptr);
  new (&lazy_mutex) std::mutex;
}
// At load: a flag of std::call_once could be inherited in the middle of the call.
[[maybe_unused]] const int fork_handler = pthread_atfork(nullptr, nullptr, after_fork_in_child);
#endif

Pool& pool() {
  Pool* found = current_pool.load(std::memory_order_acquire);
  if (found != nullptr) return *found;
  auto made = std::make_unique<Pool>();
  if (current_pool.compare_exchange_strong(found, made.get())) return *made.release();
  return *found;
}

/// The first CPU quota found on the way up from `folder` to `root`: a container sees its own at the root.
double quota_of(std::string folder, const std::string& root, bool v2) {
  double least = 0;
  for (;;) {
    double quota = -1, period = 0;
    if (v2) {
      std::ifstream file(root + folder + "/cpu.max");  // "max 100000" or "150000 100000"
      std::string text;
      if (file >> text >> period && text != "max") quota = std::strtod(text.c_str(), nullptr);
    } else {
      std::ifstream(root + folder + "/cpu.cfs_quota_us") >> quota;
      std::ifstream(root + folder + "/cpu.cfs_period_us") >> period;
    }
    if (quota > 0 && period > 0 && (least == 0 || quota / period < least)) least = quota / period;
    if (folder.empty()) return least;
    folder.resize(folder.rfind('/') == std::string::npos ? 0 : folder.rfind('/'));
  }
}

/// CPUs' worth of time that the control group grants, rounded up, or 0. Read once: it costs some 50 us.
unsigned cgroup_quota() {
  static std::atomic<int> known{-1};  // no function-local initialisation: a fork could find it half done
  if (const int quota = known.load(); quota >= 0) return static_cast<unsigned>(quota);
  double least = 0;
  std::ifstream file("/proc/self/cgroup");  // "0::/path" (v2) or "4:cpu,cpuacct:/path"
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = ',' + line.substr(first + 1, second - first - 1) + ',';
    std::string folder = line.substr(second + 1);
    if (folder == "/") folder.clear();
    const bool v2 = controllers == ",,";
    if (!v2 && controllers.find(",cpu,") == std::string::npos) continue;
    const double quota = quota_of(folder, v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu", v2);
    if (quota > 0 && (least == 0 || quota < least)) least = quota;
  }
  const int rounded = static_cast<int>(std::ceil(std::min(least, 1e6)));
  known.store(rounded);
  return static_cast<unsigned>(rounded);
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
  if (inside_piece) {
    for (std::size_t i = 0; i < n; ++i) body(i);
    return;
  }
  const FloatEnvironment environment;
  if (n_threads <= 1 || n < 2) {
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

std::mutex& lazy_initialisation_mutex() { return lazy_mutex; }

InterruptScope::InterruptScope(bool (*wants_to_stop)()) : outer_(interruption.wants_to_stop) {
  interruption.wants_to_stop = wants_to_stop;
  interruption.next_question = Clock::now() + kPollInterval;
}
InterruptScope::~InterruptScope() { interruption.wants_to_stop = outer_; }

void poll_interrupt() {
  if (interruption.wants_to_stop == nullptr && interruption.cancelled == nullptr) return;
  if (asked_to_stop()) throw interrupted();
}

}  // namespace likewise
