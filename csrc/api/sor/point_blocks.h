// A matrix in dense blocks of b x b elements: what is relaxed where the rows of a block are relaxed together.
//
// With D the blocks on the diagonal, that is relaxation, row by row, of D^-1 A x = D^-1 b: there the rows of a block do
// not depend on each other.
#pragma once

#include <vector>

#include "api/call/work.h"
#include "api/sor/csr.h"

namespace sorgum::sor {

inline constexpr index_t kMostTogether = 64;

// Rows whose columns ascend.
template <class T>
struct Rows {
    AlignedArray<index_t> indptr, indices;
    AlignedArray<T> data;
    index_t rows = 0, entries = 0;

    CsrArrays arrays() const;
};

// Which blocks have an entry.
struct BlockPattern {
    index_t size = 1, rows = 0;   // of a block; of the matrix
    std::vector<index_t> first;   // of each row of blocks, and one behind them
    std::vector<index_t> column;  // ascending within a row of blocks; the one on the diagonal is always there

    index_t count() const { return rows / size; }
};

template <class T>
struct PointBlocks {
    Rows<T> matrix;            // A + c I, every element of the blocks
    Rows<T> scaled;            // D^-1 (A + c I), with a 1 for each block on the diagonal
    AlignedArray<T> diagonal;  // D: size * rows elements
    AlignedArray<T> inverse;   // D^-1, likewise
    double largest_row = 0;    // sum of magnitudes
};

// Throws if the matrix is not square or its arrays do not hold, or `size` is no size of blocks that it consists of.
BlockPattern block_pattern_of(const char* function, const CheckedCsr& a, index_t size);

// `data` as the matrix had it, for the indices that the pattern is of. Throws if a block on the diagonal is singular or
// something is not finite.
template <class T>
PointBlocks<T> point_blocks_of(const char* function, const BlockPattern& pattern, const CsrArrays& indices,
                               const T* data, T shift);

}  // namespace sorgum::sor
