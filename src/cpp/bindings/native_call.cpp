#include "bindings/native_call.hpp"

#include <chrono>
#include <thread>

namespace likewise::bindings {
namespace {

thread_local PyThreadState* released = nullptr;  // this thread's state while it is inside a ReleasedGil

void restore(PyThreadState* state) {
  try {
    PyEval_RestoreThread(state);  // safe with a state that is already freed (bpo-39877)
  } catch (...) {                 // the unwinding of pthread_exit, up to Python 3.13
    for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
  }
}

}  // namespace

ReleasedGil::ReleasedGil() : outer_(released) { released = PyEval_SaveThread(); }
ReleasedGil::~ReleasedGil() {
  restore(released);
  released = outer_;
}

bool signal_arrived() {
  restore(released);
  const bool arrived = PyErr_CheckSignals() != 0;
  released = PyEval_SaveThread();
  return arrived;
}

}  // namespace likewise::bindings
