// Sums of squares as data: of parts of a grid, perhaps on many machines, that together give a norm.
#pragma once

#include "api/sor/csr.h"
#include "kernels/sor/squares.h"

namespace sorgum::sor {

// int64: whether there is NaN (1) or infinity (2), the top digit, the bins.
inline constexpr index_t kSumWords = 2 + kExactSumBins;

void store(const SquaresSum& sum, std::int64_t* words);

// The words of a contiguous array of shape (count, kSumWords), to write to.
std::int64_t* words_of(const char* function, const char* argument, const ArrayView& view, index_t count);

// Of all elements of x of shape (rows, n), each row in chunks.
SquaresSum squares_of_rows(const ArrayView& x);

// norms[k]: the root of the sum of parts[i][k] over i; parts of shape (parts, norms, kSumWords).
void merged_norms(const ArrayView& parts, double* norms);

}  // namespace sorgum::sor
