// Passes over all points of a grid.
#pragma once

#include <algorithm>

#include "api/sor/stencil_rows.h"
#include "kernels/sor/squares.h"

namespace sorgum::sor {

// So many sweeps; the squares of diagonal (u - u before) in own rows go to `sums`, kSumWords per sweep, if not null.
template <class T>
void relax(const StencilData<T>& data, const StencilVectors<T>& vectors, index_t sweeps, std::int64_t* sums);

// The squares of f - sum_k c_k u[x + k] in own rows, which goes to `r` where that is not null.
template <class T>
SquaresSum residual_squares(const StencilData<T>& data, const StencilVectors<T>& vectors, double* r);

inline index_t rows_at_once(const GridShape& grid) {
    return std::max<index_t>(kLeastTask / std::max<index_t>(grid.size[2], 1), 1);
}

// Calls visit(row, its first point) for every segment of all rows, by several threads.
template <class T, class Visit>
void for_rows(const StencilData<T>& data, const StencilVectors<T>& vectors, bool bare, Visit&& visit) {
    const GridShape& grid = data.grid;
    const RowMaker<T> rows(data, vectors, bare);
    const index_t per_plane = grid.inner(1);
    parallel_for_ranges(grid.rows(), rows_at_once(grid), threads_for(grid.points()),
                        [&](index_t begin, index_t end, int) {
                            for (index_t r = begin; r < end; ++r)
                                rows(grid.first(0) + r / per_plane, grid.first(1) + r % per_plane,
                                     [&](const StencilRow<T>& row, index_t at, index_t) { visit(row, at); });
                        });
}

}  // namespace sorgum::sor
