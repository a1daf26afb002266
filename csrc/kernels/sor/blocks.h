// Sparse matrices in blocks of 16 rows, a row per lane: sweeps of relaxation and residuals.
//
// computes  blocks_sweep: a step of successive over-relaxation in the rows of some blocks, one row after the other
//           blocks_sweep_two: the same in two parts, of which no row has an entry in a column of the other
//           blocks_residual: r[i] = b[i] - sum of a_ij x_j over row i, in float64
// source    Young 1971, "Iterative Solution of Large Linear Systems", chapter 3; layout after Kreutzer, Hager, Wellein,
//           Fehske and Bishop 2014, "A unified sparse matrix data format for efficient general sparse matrix-vector
//           multiplication on modern processors with wide SIMD units" (SELL); deviations: slots of neighbouring columns
//           store no index, and what couples the rows of a block is subtracted row by row
// shapes    sweeps: rows [first, last), of blocks that need not be whole; blocks_residual: blocks [first, last),
//           which go to r[0], r[1], ...; vectors have an element per row; x overlaps neither b nor the matrix, but x
//           may be b where `half` is set
// order     s = fma(a_ij, x_j, s) from +0 over the columns of a row, ascending, but those of the block on the side that
//           the sweep comes from; c = fma(omega d, b_i - s, (1 - omega) x_i), where d = 1 / a_ii; then, over the
//           columns that were left out, towards the diagonal, c = fma(-(omega (a_ij d)), x_j, c); x_i = c
// bound     (m + 5) u (omega (|b_i| + sum |a_ij x_j|) / |a_ii| + |1 - omega| |x_i|), see docs/numerics/sor.md
// special   as IEEE 754 has it; lanes without an entry keep their sums, whatever x holds
// cost      per entry one value, one index where columns are no neighbours, and one element of x; per row one element
//           of b, d and x, which is written
#pragma once

#include "core/types.h"

namespace sorgum::sor {

inline constexpr index_t kBlock = 16;  // rows of a block: the lanes of a vector

// Offsets of slots that have columns.
inline constexpr index_t kGathered = INT64_MIN;
inline constexpr index_t kOneRow = INT64_MIN + 1;

// An entry of each row that has one here; or, where a row is much longer than all others of its block, 16 consecutive
// entries of that row.
struct Slot {
    index_t offset;         // column minus row, the same for all; or kGathered: each has its own; or kOneRow
    std::uint16_t present;  // rows of the block with an entry: bit i is row i
    std::uint16_t inner;    // those of them whose column is a row of the block, too
};

// How the entries of a block lie. Slots left of the diagonal stand before those right of it; along either, the columns
// of every row ascend. Columns of the block itself are in the last ones of the left and in the first ones of the right.
struct Pattern {
    index_t slots;  // the first one
    index_t left, right, inner_left, inner_right;
    index_t rows;  // 16, but in the last block of all or of a colour
    bool one_row;  // whether it has slots of one row
    bool plain;    // whether every slot has an entry of all 16 rows, at the same offset
};

struct Block {
    index_t pattern;
    index_t values;   // where those of its slots begin, in slots
    index_t columns;  // where those of its slots that have some begin, in slots
};

// Vectors of values, columns as differences to the block's first row. Lanes without an entry have value 0, and 0 for a
// column.
template <class T>
struct Blocks {
    using value = T;
    const Slot* slots;
    const Pattern* patterns;
    const Block* blocks;  // and one behind them, where the last one's values and columns end
    index_t count;        // of blocks
    const T* values;
    const std::int32_t* columns;
    const T* diagonal;
    T shift;           // to be added to the diagonal
    const T* inverse;  // 1 / (diagonal + shift)
};

template <class T>
struct Step {
    T omega;
    bool backward;             // from the last row to the first
    bool half;                 // x is taken for 0 before, so that the half of the matrix that lies ahead is not read
    const T *lower, *upper;    // where not null: x_i = min(max(c, lower_i), upper_i)
    double* change = nullptr;  // where not null: a_ii (x_i - x_i before) of the rows from `change_first` on
    index_t change_first = 0;
    index_t ahead = 16;  // blocks: how far before it is swept one is fetched
};

template <class T>
struct Part {
    Step<T> step;
    index_t first, last;  // rows
};

template <class T>
using blocks_sweep_fn = void(const Blocks<T>& a, const Step<T>& step, const T* b, T* x, index_t first, index_t last);
template <class T>
using blocks_sweep_two_fn = void(const Blocks<T>& a, const Part<T>& one, const Part<T>& other, const T* b, T* x);
template <class T>
using blocks_residual_fn = void(const Blocks<T>& a, const T* b, const T* x, index_t first, index_t last, double* r);

}  // namespace sorgum::sor
