// Points of one color of a row, and their neighbours, that lie side by side.
//
// computes  packed_sweep: a step of successive over-relaxation in each of the points
//           packed_split: even[j] = from[2 j], odd[j] = from[2 j + 1]
//           packed_join: to[2 j] = even[j], to[2 j + 1] = odd[j]
// source    Young 1971, "Iterative Solution of Large Linear Systems", chapter 5; deviation: none
// shapes    sweep: `points` elements of each array; u overlaps no other. split, join: n elements, (n + 1) / 2 of them
//           even and n / 2 odd; `from` and `to` overlap neither
// order     that of stencil_sweep (stencil.h) with terms that are all there
// bound     that of stencil_sweep; split, join: exact
// special   as IEEE 754 has it; split, join: every element keeps its bits
// cost      sweep: per point and neighbour an element of u, mostly from cache; two elements and one that is written.
//           split, join: per element a read and a write
#pragma once

#include "core/types.h"
#include "kernels/sor/stencil.h"

namespace sorgum::sor {

template <class T>
struct PackedRow {
    const T* term[kMostNeighbours];  // u of the neighbours
    T c[kMostNeighbours];            // coefficients
    index_t count;                   // of terms
    T* u;
    const T* f;
    T factor, rest;  // omega / diagonal, 1 - omega
    index_t points;
};

template <class T>
using packed_sweep_fn = void(const PackedRow<T>& row);
// Fetches what lies so many elements beyond that which is split, too.
template <class T>
using packed_split_fn = void(const T* from, index_t n, index_t ahead, T* even, T* odd);
template <class T>
using packed_join_fn = void(const T* even, const T* odd, index_t n, T* to);

}  // namespace sorgum::sor
