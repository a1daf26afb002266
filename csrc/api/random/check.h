// What a call of random is given, checked alike wherever its arrays lie. All throw ValueError.
#pragma once

#include <string>
#include <vector>

#include "api/random/random.h"
#include "kernels/random/noise.h"

namespace sorgum::random {

// A distribution of numbers that are drawn one by one.
struct Law {
    const char* name;
    Purpose purpose;
};
const Law& law_of(const std::string& name);

// The first index of rows of this length.
void check_index_offset(const char* function, index_t offset, index_t length);

// The temperature of a draw.
void check_draw_temperature(const char* function, double value);

// Streams, positions and indices of an array of this shape.
void check_places(const char* function, const std::vector<index_t>& shape, const Source& source);

// Those, and the temperatures, of draws from logits of this shape.
void check_draw(const char* function, const std::vector<index_t>& shape, const ArrayView& temperature,
                const Source& source);

}  // namespace sorgum::random
