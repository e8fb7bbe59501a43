#include "core/transport/cholesky.hpp"

#include <algorithm>
#include <cmath>

#include "core/dispatch.hpp"

namespace likewise::transport {

void solve_scaled(std::vector<double>& matrix, std::size_t stride, std::size_t k, double ridge, double* x) {
  const auto dot = kernel_table().sinkhorn.dot;
  std::vector<double> scale(k);
  for (std::size_t i = 0; i < k; ++i) {
    const double diagonal = matrix[i * stride + i];
    scale[i] = diagonal > 0 ? 1 / std::sqrt(diagonal) : 0;
    x[i] *= scale[i];
  }
  for (std::size_t i = 0; i < k; ++i) {
    double* row = matrix.data() + i * stride;
    for (std::size_t j = 0; j < i; ++j)
      row[j] = (row[j] * scale[i] * scale[j] - dot(row, matrix.data() + j * stride, j)) / matrix[j * stride + j];
    row[i] = std::sqrt(std::max(1 + ridge - dot(row, row, i), ridge));
  }
  for (std::size_t i = 0; i < k; ++i) x[i] = (x[i] - dot(matrix.data() + i * stride, x, i)) / matrix[i * stride + i];
  for (std::size_t i = k; i-- > 0;) {
    x[i] /= matrix[i * stride + i];
    kernel_table().sinkhorn.add_multiple(matrix.data() + i * stride, -x[i], i, x);
  }
  for (std::size_t i = 0; i < k; ++i) x[i] *= scale[i];
}

}  // namespace likewise::transport
