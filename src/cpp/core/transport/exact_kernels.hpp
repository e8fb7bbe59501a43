// The kernels of exact transport at the level in use.
#pragma once
#include "core/dispatch.hpp"
#include "likewise/transport/exact.hpp"

namespace likewise::transport {

template <class T>
const kernels::ExactKernels<T>& exact_kernels() {
  if constexpr (sizeof(T) == 4) {
    return kernel_table().exact.f32;
  } else {
    return kernel_table().exact.f64;
  }
}

}  // namespace likewise::transport
