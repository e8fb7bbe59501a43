// Whitening: the step of it that a matrix product does not do. Statistics and products are left to BLAS, above us.
#pragma once
#include <cstddef>

namespace likewise::whitening {

/// out = (x - mean) - rest for every row of x: less a mean that is kept in two parts, as one T may not hold it. x and
/// out are n_rows x n_columns, apart from one another. Returns the largest |out|; infinity or NaN where one of them is
/// not finite. T is float or double. One read of x, one write of out.
template <class T>
T centre(const T* x, const T* mean, const T* rest, std::size_t n_rows, std::size_t n_columns, T* out);

}  // namespace likewise::whitening
