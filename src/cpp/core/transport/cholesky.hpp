#pragma once
#include <cstddef>
#include <vector>

namespace likewise::transport {

/// Solves (matrix + ridge) x = right side in place by Cholesky's factorisation, both scaled to a unit diagonal first; a
/// variable whose diagonal is 0 becomes 0. Reads the lower triangle, k rows of `stride` numbers, and overwrites it.
void solve_scaled(std::vector<double>& matrix, std::size_t stride, std::size_t k, double ridge, double* x);

}  // namespace likewise::transport
