#pragma once
#include "core/dispatch.hpp"

namespace likewise::projection {

template <class T>
const kernels::ProjectionKernels<T>& kernels_of();
template <>
inline const kernels::ProjectionKernels<float>& kernels_of<float>() {
  return kernel_table().projection.f32;
}
template <>
inline const kernels::ProjectionKernels<double>& kernels_of<double>() {
  return kernel_table().projection.f64;
}

}  // namespace likewise::projection
