// Keyed noise on arrays of any layout.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/types.h"

namespace sorgum::random {

// Words 0 and 1 of the block that a key makes of {data low, data high, 0, tag}: keys derived from a key. Tag 0 belongs
// to the rows of math/stream.h.
std::uint64_t derived_key(std::uint64_t key, std::uint64_t data, std::uint32_t tag);

// Blocks of Philox4x32: counter (4, n), key (2, n), out (4, n), contiguous, words in the encoding of float32.
void philox(const ArrayView& counter, const ArrayView& key, const ArrayView& out, index_t rounds);

// Who draws: the key, and per row its stream (by default its number) and its position.
struct Source {
    std::uint64_t key;
    std::optional<ArrayView> streams;  // int64, taken as 64 bits; the shape of the rows
    ArrayView position;                // likewise; a scalar or one per row
    index_t index_offset = 0;
    std::optional<ArrayView> given;  // float32 encodings of the words of every row, for tests
};

// Fills `out`, float32 or float64, whose last axis makes rows, with "bits", "uniform", "exponential", "gumbel" or
// "logistic". `wide`: from words of 64 bits.
void noise(const std::string& law, bool wide, const Source& source, const std::vector<index_t>& shape,
           const ArrayView& out);

}  // namespace sorgum::random
