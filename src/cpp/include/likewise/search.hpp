// All of full-text search: from texts to an index, and its queries.
#pragma once
#include "likewise/search/building.hpp"
#include "likewise/search/index.hpp"
