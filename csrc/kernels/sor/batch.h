// Many small systems of one pattern, a system per lane: sweeps of relaxation and residuals.
//
// computes  batch_sweep: a step of successive over-relaxation, forward, of 16 systems
//           batch_residual: of each system the sum over rows of the square of (b_i - sum of a_ij x_j) times a scale
// source    Young 1971, "Iterative Solution of Large Linear Systems", chapter 3; deviation: element j of system l lies
//           at 16 j + l, so that what a row waits for is waited for by 16 systems at once
// shapes    n rows, whose entries beside the diagonal are sorted by columns; vectors have 16 n elements; x overlaps
//           nothing; values have 16 numbers per entry, or one where `shared` is set
// order     batch_sweep: that of blocks_sweep in natural order, with blocks of 16 rows; batch_residual: in float64,
//           s = fma(a_ij, x_j, s) from +0 over all columns of a row, ascending; t = (b_i - s) scale; q = fma(t, t, q)
//           from +0 over the rows
// bound     as blocks_sweep: (m + 5) u (omega (|b_i| + sum |a_ij x_j|) / |a_ii| + |1 - omega| |x_i|)
// special   as IEEE 754 has it; no lane sees another one's numbers
// cost      batch_sweep and batch_residual: per entry 16 values, or one, and 16 elements of x, from cache; per row 16
//           elements of b and of the diagonal or its inverse, and of x, which the sweep writes
#pragma once

#include "core/types.h"

namespace sorgum::sor {

// The entries of a row beside the diagonal, columns ascending: those left of the row's block of 16 rows; those of the
// block, left of the diagonal; those right of the diagonal.
struct BatchRow {
    index_t begin, inner, right;  // where each begins; the last ones end where the next row begins
};

template <class T>
struct Batch {
    using value = T;
    index_t rows;
    const BatchRow* row;  // and one behind them
    const std::int32_t* columns;
    const T* values;
    bool shared;        // by all 16 systems
    const T* diagonal;  // 16 per row, and so on
    const T* inverse;
    const T* omega;  // 16
    const T* b;
    T* x;
};

// `change`: where not null, 16 sums over rows of the square of a_ii (x_i - x_i before) times the scale, in float64: the
// difference is rounded to T, t = (a_ii difference) scale, q = fma(t, t, q) from +0.
template <class T>
using batch_sweep_fn = void(const Batch<T>& a, const double* scale, double* change);
template <class T>
using batch_residual_fn = void(const Batch<T>& a, const double* scale, double* squares);

}  // namespace sorgum::sor
