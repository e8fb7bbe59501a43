#pragma once
#include "likewise/search/index.hpp"
