#include "core/dispatch.hpp"
#include "likewise/whitening.hpp"

namespace likewise::whitening {

template <>
float centre(const float* x, const float* mean, const float* rest, std::size_t n_rows, std::size_t n_columns,
             float* out) {
  return kernel_table().whitening.f32.centre(x, mean, rest, n_rows, n_columns, out);
}

template <>
double centre(const double* x, const double* mean, const double* rest, std::size_t n_rows, std::size_t n_columns,
              double* out) {
  return kernel_table().whitening.f64.centre(x, mean, rest, n_rows, n_columns, out);
}

}  // namespace likewise::whitening
