// What soft tokens are made of: noise of chosen elements, and weighted sums of embeddings.
#pragma once

#include <optional>

#include "core/types.h"

namespace sorgum::random {

// out[e] (float64) = the number of element indices[e] of the row of streams[e] and positions[e], all one-dimensional
// and int64 (streams and positions taken as 64 bits): a Gumbel number of a 32-bit word, or, with `concentration`
// (float64), the logarithm of a gamma number. Index -1 gives NaN.
struct ChosenNoise {
    const char* function;
    std::uint64_t key;
    ArrayView streams, positions, indices;
    std::optional<ArrayView> concentration;
    ArrayView out;
};
void noise_of_chosen(const ChosenNoise& a);

// out[r] = the sum over j of weights[r, j] table[indices[r, j]], without those of index -1. The table's rows are
// contiguous and aligned; it and `out` are float16, bfloat16, float32 or float64; weights are float64, indices int64.
struct EmbeddingMix {
    const char* function;
    ArrayView weights, indices, table, out;
};
void embedding_mix(const EmbeddingMix& a);

}  // namespace sorgum::random
