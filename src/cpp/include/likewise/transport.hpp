// Optimal transport.
#pragma once
#include "likewise/transport/exact.hpp"
#include "likewise/transport/ground_cost.hpp"
#include "likewise/transport/sinkhorn.hpp"
#include "likewise/transport/sinkhorn_batch.hpp"
