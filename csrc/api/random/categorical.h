// A draw of one category per row, without options.
#pragma once

#include "core/types.h"

namespace sorgum::random {

// One key, temperature and position for all rows, and, unless it is each row's own number, one stream.
struct CategoricalArguments {
    ArrayView logits;       // the categories along the last axis
    ArrayView temperature;  // float64, without axes
    std::uint64_t key, stream, position;
    bool own_streams;
};
inline constexpr index_t kMostDraws = 64;

// The type and the shape of the result, as of a contiguous array without memory.
ArrayView result_of(const CategoricalArguments& arguments);

// Draws a category per row, at most kMostDraws of them. False where draw() would have to say why it cannot. Throws
// Interrupted, and what lack of memory throws.
bool categorical(const CategoricalArguments& arguments, index_t* drawn);

}  // namespace sorgum::random
