// What the bindings of one entropic problem and of many check alike.
#pragma once
#include <string>

#include "likewise/transport/sinkhorn.hpp"

namespace likewise::bindings {

transport::SinkhornOptions checked_options(double tol, std::size_t max_iter, const std::string& method,
                                           std::size_t anderson, unsigned n_threads);

}  // namespace likewise::bindings
