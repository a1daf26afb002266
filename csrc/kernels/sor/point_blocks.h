// Dense blocks on the diagonal of a matrix, whose rows are relaxed together.
//
// computes  point_block_solve: D^-1 R, for a block D and all columns R of its rows; false if D is singular
//           point_blocks_product: y = D x, for blocks D that lie one after the other
// source    Higham 2002, "Accuracy and Stability of Numerical Algorithms", algorithm 9.2 and section 8.1: Gaussian
//           elimination with partial pivoting, by rows
// shapes    point_block_solve: b rows of `width` numbers, a multiple of 16; D is in the first b columns, R from column
//           `from` on, the least multiple of 16 that is not below b. R is overwritten, and D destroyed.
//           point_blocks_product: blocks of b x b numbers, row by row; count * b elements of x and y, apart
// order     column after column of D: the row with the largest magnitude, the first of them, changes places with the
//           first one that is left, u; l = a / u_k, and each row below it becomes fma(-l, u, row). Then from the last
//           row to the first: the row is divided by its pivot, and each row above it becomes fma(-a, row, that row).
//           Products: s = fma(d_ik, x_k, s) from +0 over ascending k, in float64
// bound     point_block_solve: 3 b u |D^-1| |L| |U| |X|; products: b u |D| |x|; see docs/numerics/sor.md
// special   a pivot that is 0, or a column whose pivots are all NaN, ends point_block_solve
// cost      b^2 multiply-adds per column; b per element
#pragma once

#include "core/types.h"

namespace sorgum::sor {

template <class T>
using point_block_solve_fn = bool(T* rows, index_t b, index_t from, index_t width);
template <class T>
using point_blocks_product_fn = void(const T* blocks, index_t b, const T* x, double* y, index_t count);

}  // namespace sorgum::sor
