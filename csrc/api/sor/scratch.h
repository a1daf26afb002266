// What threads have of their own while they sweep, and how much work there is.
#pragma once

#include <vector>

#include "api/call/work.h"
#include "api/sor/structure.h"
#include "dispatch/dispatch.h"
#include "dispatch/sor.h"
#include "kernels/sor/squares.h"

namespace sorgum::sor {

struct SquaresScratch {
    AlignedArray<double> numbers;  // of a chunk
    SquaresSum squares = kNoSquares;
};

inline std::vector<SquaresScratch> scratch_for(int threads) {
    std::vector<SquaresScratch> scratch(static_cast<std::size_t>(threads));
    for (SquaresScratch& s : scratch)
        s.numbers.reserve(kChunk);
    return scratch;
}

inline void merge(const std::vector<SquaresScratch>& scratch, SquaresSum& into) {
    for (const SquaresScratch& s : scratch)
        sor_squares_merge(kernels(), double())(into, s.squares);
}

// Numbers that a pass over the matrix reads.
inline index_t elements_of(const Structure& structure) {
    return structure.slots > INT64_MAX / 32 ? INT64_MAX : structure.slots * kBlock + structure.rows;
}

}  // namespace sorgum::sor
