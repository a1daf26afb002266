// Sweeps over some rows of a matrix in blocks, in any order.
//
// computes  a step of successive over-relaxation in the rows that are given, one after the other
// source    Young 1971, "Iterative Solution of Large Linear Systems", chapter 3; deviation: only the rows that are
//           given
// shapes    rows[0], rows[1], ..., each one of the matrix, in any order and as often as one likes; backward from the
//           last of them to the first; vectors as blocks_sweep (kernels/sor/blocks.h) has them
// order     a row is that of blocks_sweep in the same direction, with x as the rows before have left it
// bound     that of blocks_sweep
// special   as blocks_sweep
// cost      per entry of a row one value of a vector of 16 and one element of x; many rows that follow each other cost
//           what they cost blocks_sweep
#pragma once

#include "kernels/sor/blocks.h"

namespace sorgum::sor {

template <class T>
using rows_sweep_fn = void(const Blocks<T>& a, const Step<T>& step, const T* b, T* x, const index_t* rows,
                           index_t count);

}  // namespace sorgum::sor
