#pragma once

#include "kernels/common/elementwise.inl.h"
#include "kernels/linalg/gram.h"

SORGUM_ISA_BEGIN

using namespace sorgum::linalg;

// Terms that are taken at a time: a panel of so many and one of the other operand stay in the first-level cache. No bit
// depends on it, since chains go on where they stopped.
inline constexpr index_t kGramTerms = 128;

// A power of two, so that tiles fill panels, with no more sums than a product's tile has.
template <class T>
constexpr int gram_tile_rows() {
    constexpr int most = ProductTile<T>::rows * ProductTile<T>::vectors;
    return most >= 8 ? 8 : most >= 4 ? 4 : most >= 2 ? 2 : 1;
}

// Goes on with the chains of `tall` rows, or begins them.
template <int tall, class T>
SORGUM_INLINE void gram_tile(const T* x, const T* y, index_t terms, bool begins, T* sums, index_t pitch) {
    vec<T> sum[tall];
#pragma GCC unroll 8
    for (int r = 0; r < tall; ++r)
        sum[r] = begins ? splat<vec<T>>(T(0)) : load(sums + r * pitch);
    for (index_t k = 0; k < terms; ++k) {
        const vec<T> columns = load(y + k * kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < tall; ++r)
            sum[r] = fma(splat<vec<T>>(x[k * kLanes + r]), columns, sum[r]);
    }
#pragma GCC unroll 8
    for (int r = 0; r < tall; ++r)
        store(sums + r * pitch, sum[r]);
}

// The tiles of one panel of rows with one of columns; those of fewer rows come last.
template <int tall, class T>
SORGUM_INLINE void gram_tiles(const T* x, const T* y, index_t rows, index_t terms, bool begins, T* sums,
                              index_t pitch) {
    index_t r = 0;
    for (; r + tall <= rows; r += tall)
        gram_tile<tall>(x + r, y, terms, begins, sums + r * pitch, pitch);
    if constexpr (tall > 1)
        if (r < rows)
            gram_tiles<tall / 2>(x + r, y, rows - r, terms, begins, sums + r * pitch, pitch);
}

template <class T>
void gram_chunk_kernel(const GramPanels<T>& p) {
    const index_t panel = p.depth * kLanes;
    for (index_t column = 0; column < p.columns; column += kLanes)
        for (index_t k = 0; k < p.depth; k += kGramTerms) {
            const index_t terms = p.depth - k < kGramTerms ? p.depth - k : kGramTerms;
            const T* const y = p.y + column / kLanes * panel + k * kLanes;
            const index_t before = p.first_column + column - p.first_row;  // the panels of rows that are above
            for (index_t row = before > 0 ? before : 0; row < p.rows; row += kLanes) {
                const index_t rows = p.rows - row < kLanes ? p.rows - row : kLanes, i = p.first_row + row;
                gram_tiles<gram_tile_rows<T>()>(p.x + row / kLanes * panel + k * kLanes, y, rows, terms, k == 0,
                                                p.sums + row_of_triangle(i) + p.first_column + column, i + kLanes);
            }
        }
}

template <class T>
void add_sums_kernel(const T* older, T* newer, index_t n) {
    for (index_t i = 0; i < n; i += kLanes)
        store(newer + i, load(older + i) + load(newer + i));
}

SORGUM_ISA_END
