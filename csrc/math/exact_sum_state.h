// Plain data of sums that threads share: the chunk that is summed by itself, and what sums of chunks are added to.
#pragma once

#include "core/types.h"

namespace sorgum {

inline constexpr index_t kChunk = 4096;  // elements; the unit of work of every reduction (N4)

// A sum of terms in any order, see math/exact_sum.h.
inline constexpr int kExactSumBins = 6;
inline constexpr index_t kExactSumEmpty = INT64_MIN;
struct ExactSum {
    index_t top;  // the digit of bin[0]; kExactSumEmpty when nothing was added
    std::int64_t bin[kExactSumBins];
};

}  // namespace sorgum
