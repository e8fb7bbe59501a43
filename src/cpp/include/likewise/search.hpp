#pragma once
#include "likewise/search/building.hpp"
#include "likewise/search/index.hpp"
