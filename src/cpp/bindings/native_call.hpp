// What stands around the native part of every call that may take longer than some 10 us.
#pragma once
#include <Python.h>

#include "core/thread_pool.hpp"

namespace likewise::bindings {

/// Releases the GIL while it lives. pybind11's own class ends the process when a daemon thread comes back while the
/// interpreter is shut down: Python then ends the thread by unwinding it, through destructors that must not throw. Such
/// a thread stops here for good; the process is about to end.
class ReleasedGil {
 public:
  ReleasedGil();
  ~ReleasedGil();
  ReleasedGil(const ReleasedGil&) = delete;
  ReleasedGil& operator=(const ReleasedGil&) = delete;

 private:
  PyThreadState* outer_;
};

/// Whether Ctrl-C was pressed (or another signal's handler has raised), asked inside a ReleasedGil. Takes the GIL for a
/// moment; always false outside the main thread.
bool signal_arrived();

/// The GIL is released, the floating-point mode is the default one, and Ctrl-C is noticed at the safe points.
class NativeCall {
  InterruptScope interrupts_{signal_arrived};
  FloatEnvironment environment_;
  ReleasedGil released_;
};

}  // namespace likewise::bindings
