// Rows of at most one chunk that lie side by side, as along any axis but the last: 16 rows are the lanes of a vector,
// and nothing is transposed. Blocks of kBlockColumns rows, at the ends of one vector, are packed into scratch when they
// are first read: the elements of a row are far apart in memory, and at distances of a power of two they would compete
// for the same few places of every cache.
#pragma once

#include "kernels/special/column_lanes.inl.h"

SORGUM_ISA_BEGIN

// How many rows of memory ahead a block is prefetched, into the second-level cache: the first has room for a dozen
// lines that lie a power of two apart.
inline constexpr index_t kRowsAhead = 64;

template <class T>
SORGUM_INLINE void prefetch_lines(const T* p) {
    for (unsigned line = 0; line < kLanes * sizeof(T); line += 64)
        prefetch_second(reinterpret_cast<const char*>(p) + line);
}

// Columns `first` to `first + width`, packed row by row of memory. Where there are several vectors, they are full.
template <class T>
struct ColumnBlock {
    index_t first, width, vectors;
    vec<T> maxima[kMostVectors<T>], minima[kMostVectors<T>];
};

// `vectors` stands for b.vectors, as a constant.
template <index_t vectors, class T>
SORGUM_INLINE void pack_columns(const Columns<T>& r, ColumnBlock<T>& b) {
    using V = vec<T>;
    const T infinity = from_bits(Format<T>::infinity);
    V maxima[vectors], minima[vectors];
    for (index_t c = 0; c < vectors; ++c) {
        maxima[c] = splat<V>(-infinity);
        minima[c] = splat<V>(infinity);
    }
    const index_t rows_ahead = r.n < kRowsAhead ? r.n : kRowsAhead;
    T* packed = r.scratch;
    for (index_t j = 0; j < r.n; ++j) {
        const T* const x = r.x + j * r.x_along + b.first;
        // Beyond the last row the next block begins.
        const T* const ahead =
            x + (j + rows_ahead < r.n ? rows_ahead * r.x_along : (rows_ahead - r.n) * r.x_along + vectors * kLanes);
        for (index_t c = 0; c < vectors; ++c, packed += kLanes) {
            prefetch_lines(ahead + c * kLanes);
            const V e = vectors > 1 || b.width == kLanes ? load(x + c * kLanes) : load_first(x, b.width, T(0));
            maxima[c] = max(e, maxima[c]);
            minima[c] = min(e, minima[c]);
            store(packed, e);
        }
    }
    for (index_t c = 0; c < vectors; ++c) {
        b.maxima[c] = maxima[c];
        b.minima[c] = minima[c];
    }
}

// Writes the results of a block but those of vectors with an irregular row.
template <index_t vectors, RowOp op, class T>
SORGUM_INLINE void write_columns(const Columns<T>& r, const ColumnBlock<T>& b, const bool* irregular, bool streaming,
                                 const ColumnResult<op, T>* results) {
    const T* packed = r.scratch;
    for (index_t j = 0; j < r.n; ++j) {
        T* const y = r.y + j * r.y_along + b.first;
        for (index_t c = 0; c < vectors; ++c, packed += kLanes) {
            if (irregular[c])
                continue;
            const vec<T> out = results[c](load(packed));
            if (vectors == 1 && b.width < kLanes) {
                store_first(y, out, b.width);
            } else if (streaming) {
                stream(y + c * kLanes, out);
            } else {
                prefetch_lines(y + c * kLanes + kRowsAhead * r.y_along);
                store(y + c * kLanes, out);
            }
        }
    }
}

// The rows of a vector one by one, where one of them is irregular.
template <RowOp op, class T>
SORGUM_NOINLINE void columns_one_by_one(const Columns<T>& r, index_t first, index_t count, const ExpScale<T>& scale) {
    T row[kChunk];
    for (index_t i = first; i < first + count; ++i) {
        for (index_t j = 0; j < r.n; ++j)
            row[j] = r.x[j * r.x_along + i];
        single_row<op>({row, op == RowOp::logsumexp ? r.y + i : row, 1, r.n, 0, 0, r.empty, false}, 0, scale);
        if constexpr (op != RowOp::logsumexp)
            for (index_t j = 0; j < r.n; ++j)
                r.y[j * r.y_along + i] = row[j];
    }
}

template <RowOp op, bool wide, class T>
SORGUM_INLINE void column_block(const Columns<T>& r, index_t first, index_t width, const ExpScale<T>& scale,
                                bool streaming) {
    ColumnBlock<T> b;
    b.first = first;
    b.width = width;
    b.vectors = (width + kLanes - 1) / kLanes;
    const bool several = b.vectors > 1;
    several ? pack_columns<kMostVectors<T>>(r, b) : pack_columns<1>(r, b);
    const LaneScale<T> lane_scale(scale);
    SixteenRows<op, wide, T> rows[kMostVectors<T>];
    ColumnTerms<scales_terms(op), wide, T> columns[kMostVectors<T>];
    ColumnResult<op, T> results[kMostVectors<T>];
    f64x16 sums[kMostVectors<T>];
    bool irregular[kMostVectors<T>];
    for (index_t c = 0; c < b.vectors; ++c) {
        rows[c].begin(r.scratch + c * kLanes, b.vectors * kLanes, b.maxima[c], b.minima[c], lane_scale);
        columns[c] = rows[c].column;
    }
    if (r.n > kLanes)
        column_sums<kMostVectors<T>, wide, T>(r.n, b.vectors, columns, sums);
    for (index_t c = 0; c < b.vectors; ++c) {
        if (r.n <= kLanes)
            sums[c] = short_sum<wide, T>(r.n, columns[c]);
        rows[c].column = columns[c];
        rows[c].finish(r.n, sums[c], lane_scale);
        results[c] = rows[c].result;
        const index_t at = first + c * kLanes, count = several ? kLanes : width;
        irregular[c] = rows[c].ref.some_irregular;
        if (irregular[c])
            columns_one_by_one<op>(r, at, count, scale);
        else if constexpr (op == RowOp::logsumexp)
            store_first(r.y + at, results[c].value, count);
    }
    if constexpr (op != RowOp::logsumexp)
        several ? write_columns<kMostVectors<T>>(r, b, irregular, streaming, results)
                : write_columns<1>(r, b, irregular, streaming, results);
}

template <RowOp op, bool wide, class T>
SORGUM_INLINE void columns(const Columns<T>& r, const ExpScale<T>& scale) {
    // Results stream as whole cache lines, so the first block ends where one begins in every row of memory.
    const index_t head = elements_to_boundary(r.y);
    const bool streaming = r.streaming && head >= 0 && (r.y_along * static_cast<index_t>(sizeof(T))) % 64 == 0;
    for (index_t first = 0; first < r.columns;) {
        const index_t left = streaming && first == 0 && head > 0 && head < r.columns ? head : r.columns - first;
        const index_t width = left >= kBlockColumns<T> ? kBlockColumns<T> : left < kLanes ? left : kLanes;
        column_block<op, wide>(r, first, width, scale, streaming);
        first += width;
    }
    if (r.streaming)
        stream_fence();
}

template <class T>
void softmax_columns_kernel(const Columns<T>& columns_of, const ExpScale<T>& scale) {
    columns<RowOp::softmax, false>(columns_of, scale);
}
template <class T>
void log_softmax_columns_kernel(const Columns<T>& columns_of, const ExpScale<T>& scale) {
    if constexpr (kIsPrecise<RowOp::log_softmax, T>)
        if (columns_of.n < kShortRow)
            return columns<RowOp::log_softmax, true>(columns_of, scale);
    columns<RowOp::log_softmax, false>(columns_of, scale);
}
template <class T>
void logsumexp_columns_kernel(const Columns<T>& columns_of, const ExpScale<T>& scale) {
    columns<RowOp::logsumexp, false>(columns_of, scale);
}

SORGUM_ISA_END
