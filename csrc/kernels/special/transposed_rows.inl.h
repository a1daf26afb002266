// Short rows: 16 at a time are transposed in registers, so that a lane holds a row, and what is done once a row is done
// for 16. The steps of two times 16 rows take turns: each step waits for the one before most of its time.
#pragma once

#include "kernels/special/column_lanes.inl.h"

SORGUM_ISA_BEGIN

// Where the tile of columns from `tile` on begins: the last one ends with the row, and repeats some of the one before.
SORGUM_INLINE index_t tile_begin(index_t tile, index_t n) {
    return tile + kLanes <= n || n < kLanes ? tile : n - kLanes;
}

// The largest and the least elements of `count` columns.
template <class T>
SORGUM_INLINE void column_bounds(const T* columns, index_t count, vec<T>& largest, vec<T>& least) {
    using V = vec<T>;
    const T infinity = from_bits(Format<T>::infinity);
    V high[2] = {splat<V>(-infinity), splat<V>(-infinity)}, low[2] = {splat<V>(infinity), splat<V>(infinity)};
    index_t j = 0;
    for (; j + 2 <= count; j += 2) {
#pragma GCC unroll 2
        for (int k = 0; k < 2; ++k) {
            const V e = load(columns + (j + k) * kLanes);
            high[k] = max(e, high[k]);
            low[k] = min(e, low[k]);
        }
    }
    if (j < count) {
        const V e = load(columns + j * kLanes);
        high[0] = max(e, high[0]);
        low[0] = min(e, low[0]);
    }
    largest = max(high[1], high[0]);
    least = min(low[1], low[0]);
}

// Columns of `rows` <= 16 rows at x: element j of row i becomes columns[16 j + i]. Of a row of less than 16 elements,
// what lies behind it is read, too, where that is within the `readable` elements from x on.
template <class T>
SORGUM_NOINLINE void read_columns(const T* x, index_t stride, index_t rows, index_t n, index_t readable, T* columns) {
    using V = vec<T>;
    for (index_t tile = 0; tile < n; tile += kLanes) {
        const index_t at = tile_begin(tile, n);
        V e[kLanes];
        if (rows == kLanes && (n >= kLanes || (stride >= n && (kLanes - 1) * stride + kLanes <= readable))) {
#pragma GCC unroll 16
            for (index_t i = 0; i < kLanes; ++i)
                e[i] = load(x + i * stride + at);
        } else {
            for (index_t i = 0; i < kLanes; ++i)
                e[i] = i < rows ? load_first(x + i * stride + at, n - at, T(0)) : splat<V>(T(0));
        }
        transpose(e);
#pragma GCC unroll 16
        for (index_t j = 0; j < kLanes; ++j)
            store(columns + (at + j) * kLanes, e[j]);
    }
}

// Writes result(column) of every column to 16 rows at y. Of a row of less than 16 elements what lies behind it is
// overwritten, too, where the next rows come.
template <class T, class Result>
SORGUM_NOINLINE void write_columns(const T* columns, index_t n, T* y, const Result& result) {
    using V = vec<T>;
    // Rows from here on end less than 16 elements before the last one does.
    const index_t spilling = n < kLanes ? (kLanes * n - kLanes) / n + 1 : kLanes;
    for (index_t tile = 0; tile < n; tile += kLanes) {
        const index_t at = tile_begin(tile, n);
        V e[kLanes];
        if (n >= kLanes) {
#pragma GCC unroll 16
            for (index_t j = 0; j < kLanes; ++j)
                e[j] = result(load(columns + (at + j) * kLanes));
        } else {
            for (index_t j = 0; j < kLanes; ++j)
                e[j] = j < n ? result(load(columns + j * kLanes)) : splat<V>(T(0));
        }
        transpose(e);
        if (n >= kLanes) {
#pragma GCC unroll 16
            for (index_t i = 0; i < kLanes; ++i)
                store(y + i * n + at, e[i]);
        } else {
            index_t i = 0;
            for (; i < spilling; ++i)
                store(y + i * n, e[i]);
            for (; i < kLanes; ++i)
                store_first(y + i * n, e[i], n);
        }
    }
}

// The same, to rows anywhere, and only to those that are not skipped.
template <class T, class Result>
SORGUM_NOINLINE void write_some(const T* columns, index_t n, index_t rows, T* y, index_t stride, const bool* skipped,
                                const Result& result) {
    using V = vec<T>;
    for (index_t at = 0; at < n; at += kLanes) {
        V e[kLanes];
        for (index_t j = 0; j < kLanes; ++j)
            e[j] = at + j < n ? result(load(columns + (at + j) * kLanes)) : splat<V>(T(0));
        transpose(e);
        for (index_t i = 0; i < rows; ++i)
            if (!skipped[i])
                store_first(y + i * stride + at, e[i], n - at);
    }
}

template <RowOp op, class T>
SORGUM_INLINE void transposed_rows(const Rows<T>& r, const ExpScale<T>& scale) {
    constexpr index_t together = 2;
    const index_t n = r.n;
    alignas(64) T columns[together][kHalfGroup * kLanes];
    SixteenRows<op, kIsPrecise<op, T>, T> sixteen[together];
    LaneScale<T> scales[together] = {LaneScale<T>(scale), LaneScale<T>(scale)};
    f64x16 sums[together];
    const bool contiguous = op != RowOp::logsumexp && r.y_stride == n;
    const bool streaming = r.streaming && contiguous && elements_to_boundary(r.y) == 0;
    for (index_t first = 0; first < r.rows; first += together * kLanes) {
        const index_t left = r.rows - first;
        const index_t vectors = left > kLanes ? together : 1;
        const auto rows_of = [&](index_t c)
                                 SORGUM_LAMBDA { return left - c * kLanes < kLanes ? left - c * kLanes : kLanes; };
        if (r.streaming)
            for (index_t i = 0; i < together * n; ++i)
                prefetch_ahead(r.x + first * r.x_stride + i * kLanes);
        for (index_t c = 0; c < vectors; ++c) {
            const index_t at = first + c * kLanes;
            const index_t readable = (r.rows - at - 1) * r.x_stride + n;
            read_columns(r.x + at * r.x_stride, r.x_stride, rows_of(c), n, readable, columns[c]);
        }
        for (index_t c = 0; c < vectors; ++c) {
            if (r.temperatures != nullptr)
                scales[c] = LaneScale<T>(load_first(r.temperatures + first + c * kLanes, rows_of(c), 1.0));
            vec<T> largest, least;
            column_bounds(columns[c], n, largest, least);
            sixteen[c].begin(columns[c], kLanes, largest, least, scales[c]);
        }
        for (index_t c = 0; c < vectors; ++c)
            sums[c] = short_sum<kIsPrecise<op, T>, T>(n, sixteen[c].column);
        for (index_t c = 0; c < vectors; ++c)
            sixteen[c].finish(n, sums[c], scales[c]);
        for (index_t c = 0; c < vectors; ++c) {
            const index_t at = first + c * kLanes, rows = rows_of(c);
            const bool* const irregular = sixteen[c].ref.irregular;
            const bool whole = rows == kLanes && !sixteen[c].ref.some_irregular;
            auto& result = sixteen[c].result;
            if constexpr (op == RowOp::logsumexp) {
                T values[kLanes];
                store(values, result.value);
                for (index_t i = 0; i < rows; ++i)
                    if (!irregular[i])
                        r.y[(at + i) * r.y_stride] = values[i];
            } else {
                if constexpr (op == RowOp::logsumexp_grad)
                    result.product = Product<T>(load_first(r.factors + at, rows, 0.0));
                T* const y = r.y + at * r.y_stride;
                if (whole && streaming) {
                    alignas(64) T packed[kHalfGroup * kLanes];
                    write_columns(columns[c], n, packed, result);
                    for (index_t i = 0; i < kLanes * n; i += kLanes)
                        stream(y + i, load(packed + i));
                } else if (whole && contiguous) {
                    write_columns(columns[c], n, y, result);
                } else {
                    write_some(columns[c], n, rows, y, r.y_stride, irregular, result);
                }
            }
            for (index_t i = 0; i < rows && !whole; ++i)
                if (irregular[i])
                    single_row<op>(r, at + i, scale);
        }
    }
    if (r.streaming)
        stream_fence();
}

SORGUM_ISA_END
