// Equations of points of a grid and their neighbours, a row of points at a time.
//
// computes  stencil_sweep: a step of successive over-relaxation in those points of a row that are of one color
//           stencil_in_turn: the same in all points, one after the other, of rows each of which lies below the one
//           before; in several rows no neighbour lies diagonally
//           stencil_residual: r[i] = f[i] - (diagonal u[i] + sum of c_k u[i + k]) over neighbours k, in float64
//           stencil_diagonal: the coefficient of a point itself, with those of neighbours that are not there
// source    Young 1971, "Iterative Solution of Large Linear Systems", chapter 5; deviation: all points of a row are
//           computed and those of the color kept, which takes fewer loads than points picked one by one
// shapes    a row of points that lie side by side, and what belongs to each at the same distance from the first; arrays
//           of bytes can be read 15 elements further; u of a row overlaps nothing but u of its own neighbours
// order     s = fma(c_k, u[i + k], s) from +0 over the neighbours that are there, in their order;
//           u[i] = fma(omega inverse, f[i] - s, (1 - omega) u[i]). In turn, the point before is left out of s, and
//           fma(-omega (c inverse), u[i - 1], u[i]) takes the place of u[i] where it is there. Residual: s over the
//           neighbours, then s = fma(diagonal, u[i], s); f[i] - s. Diagonal: the coefficients of neighbours that are
//           not there are added one by one
// bound     (m + 5) u (omega (|f| + sum |c_k u|) / |diagonal| + |1 - omega| |u|), m neighbours: docs/numerics/sor.md
// special   as IEEE 754 has it; a neighbour that is not there leaves the sum as it is, whatever lies in its place
// cost      per point and neighbour an element of u, mostly from cache; an element of f, one of u, which is written,
//           and of each array of coefficients, reciprocals and bytes that there is
#pragma once

#include "core/types.h"

namespace sorgum::sor {

inline constexpr int kMostNeighbours = 26;
inline constexpr index_t kRowsInTurn = 4;  // that go on at the same time; more are not taken

template <class T>
struct StencilTerm {
    const T* u;                  // of the neighbours; null where none is there
    const T* c;                  // coefficients; null: `constant` is everyone's
    const unsigned char* there;  // 0 where the neighbour is not; null: it is
    T constant;
};

template <class T>
struct StencilRow {
    const StencilTerm<T>* terms;
    index_t count;     // of terms
    index_t previous;  // the term of the point before; -1 if it is none
    T* u;
    const T* f;
    const T *diagonal, *inverse;  // of it; null: `constant_diagonal` and `constant_inverse`
    T constant_diagonal, constant_inverse;
    const unsigned char* active;  // 0 where a point keeps its value; null: none does
    const T *lower, *upper;       // where not null: u[i] = min(max(u[i], lower[i]), upper[i])
    double* change;               // where not null: diagonal (u[i] - u[i] before), 0 for points that are not relaxed
    T omega;
    unsigned lanes;  // bit i mod 16: whether point i is of the color
    index_t points;
};

template <class T>
using stencil_sweep_fn = void(const StencilRow<T>& row);
template <class T>
using stencil_in_turn_fn = void(const StencilRow<T>* rows, index_t count);
template <class T>
using stencil_residual_fn = void(const StencilRow<T>& row, double* r);
template <class T>
using stencil_diagonal_fn = void(const StencilRow<T>& row, T* diagonal);

}  // namespace sorgum::sor
