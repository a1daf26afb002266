// Rows of at most one chunk that lie side by side, as along any axis but the last: 16 rows are the lanes of a vector,
// and nothing is transposed. A block of some vectors is packed into scratch on its first reading, since rows of memory
// a power of two apart share the sets of every cache.
#pragma once

#include "kernels/special/column_lanes.inl.h"

SORGUM_ISA_BEGIN

inline constexpr index_t kTileRows = 16;   // rows of memory, and so pages, that are walked together
inline constexpr index_t kRowsAhead = 32;  // how many rows of memory ahead a block is prefetched

template <class T>
SORGUM_INLINE void prefetch_lines(const T* p) {
    for (unsigned line = 0; line < kLanes * sizeof(T); line += 64)
        prefetch(reinterpret_cast<const char*>(p) + line);
}

// Packs the block and tells the extremes of its rows.
template <class T>
SORGUM_INLINE void pack_columns(const Columns<T>& r, index_t first, index_t width, vec<T>* maxima, vec<T>* minima) {
    using V = vec<T>;
    const T infinity = from_bits(Format<T>::infinity);
    const index_t vectors = (width + kLanes - 1) / kLanes;
    for (index_t c = 0; c < vectors; ++c) {
        maxima[c] = splat<V>(-infinity);
        minima[c] = splat<V>(infinity);
    }
    for (index_t tile = 0; tile < r.n; tile += kTileRows) {
        const index_t end = r.n - tile < kTileRows ? r.n : tile + kTileRows;
        for (index_t c = 0; c < vectors; ++c) {
            const index_t at = c * kLanes, count = width - at < kLanes ? width - at : kLanes;
            const T* x = r.x + tile * r.x_along + first + at;
            T* packed = r.scratch + (c * r.n + tile) * kLanes;
            V max_x = maxima[c], min_x = minima[c];
            for (index_t j = tile; j < end; ++j, x += r.x_along, packed += kLanes) {
                // Beyond the last row the next block begins.
                prefetch_lines(j + kRowsAhead < r.n ? x + kRowsAhead * r.x_along
                                                    : x + width + (kRowsAhead - r.n) * r.x_along);
                const V e = count == kLanes ? load(x) : load_first(x, count, T(0));
                max_x = max(e, max_x);
                min_x = min(e, min_x);
                store(packed, e);
            }
            maxima[c] = max_x;
            minima[c] = min_x;
        }
    }
}

// Writes one vector's results of the rows of memory from `begin` to `end`; `count` of its lanes exist.
template <class T, class F>
SORGUM_INLINE void write_column(const Columns<T>& r, index_t at, index_t count, const T* packed, index_t begin,
                                index_t end, bool streaming, F&& result) {
    T* y = r.y + begin * r.y_along + at;
    packed += begin * kLanes;
    for (index_t j = begin; j < end; ++j, y += r.y_along, packed += kLanes) {
        const vec<T> out = result(load(packed));
        if (count < kLanes) {
            store_first(y, out, count);
        } else if (streaming) {
            stream(y, out);
        } else {
            prefetch_lines(y + kRowsAhead * r.y_along);
            store(y, out);
        }
    }
}

// A vector's rows by the general path, one by one, when it has to take one of them.
template <RowOp op, class T>
SORGUM_NOINLINE void columns_one_by_one(const Columns<T>& r, index_t first, index_t count, const ExpScale<T>& scale) {
    T row[kChunk];
    for (index_t i = first; i < first + count; ++i) {
        for (index_t j = 0; j < r.n; ++j)
            row[j] = r.x[j * r.x_along + i];
        whole_row<op>({row, op == RowOp::logsumexp ? r.y + i : row, 1, r.n, 0, 0, r.empty, false}, 0, scale);
        if constexpr (op != RowOp::logsumexp)
            for (index_t j = 0; j < r.n; ++j)
                r.y[j * r.y_along + i] = row[j];
    }
}

template <RowOp op, class T>
SORGUM_INLINE void columns(const Columns<T>& r, const ExpScale<T>& scale) {
    using V = vec<T>;
    constexpr index_t most = special::kMostColumnVectors;
    const index_t block = special::columns_per_block<T>(r.n);
    // Results stream as whole cache lines, so the first block ends where one begins in every row of memory.
    const index_t head = elements_to_boundary(r.y);
    const bool streaming = r.streaming && head >= 0 && (r.y_along * static_cast<index_t>(sizeof(T))) % 64 == 0;
    for (index_t first = 0, width; first < r.columns; first += width) {
        width = streaming && first == 0 && head > 0 ? head : block;
        if (width > r.columns - first)
            width = r.columns - first;
        const index_t vectors = (width + kLanes - 1) / kLanes;
        V maxima[most], minima[most];
        pack_columns(r, first, width, maxima, minima);
        ColumnResult<op, T> results[most];
        bool odd[most];
        for (index_t c = 0; c < vectors; ++c) {
            const index_t count = width - c * kLanes < kLanes ? width - c * kLanes : kLanes;
            ColumnLanes<op, T> lanes;
            results[c] = lanes.sum(r.scratch + c * r.n * kLanes, r.n, maxima[c], minima[c], scale);
            odd[c] = lanes.any_odd(count);
            if (odd[c])
                columns_one_by_one<op>(r, first + c * kLanes, count, scale);
            else if constexpr (op == RowOp::logsumexp)
                store_first(r.y + first + c * kLanes, results[c].value, count);
        }
        if constexpr (op != RowOp::logsumexp) {
            for (index_t tile = 0; tile < r.n; tile += kTileRows) {
                const index_t end = r.n - tile < kTileRows ? r.n : tile + kTileRows;
                for (index_t c = 0; c < vectors; ++c) {
                    const index_t at = c * kLanes, count = width - at < kLanes ? width - at : kLanes;
                    if (!odd[c])
                        write_column(r, first + at, count, r.scratch + at * r.n, tile, end, streaming, results[c]);
                }
            }
        }
    }
    if (r.streaming)
        stream_fence();
}

template <class T>
void softmax_columns_kernel(const Columns<T>& columns_of, const ExpScale<T>& scale) {
    columns<RowOp::softmax>(columns_of, scale);
}
template <class T>
void log_softmax_columns_kernel(const Columns<T>& columns_of, const ExpScale<T>& scale) {
    columns<RowOp::log_softmax>(columns_of, scale);
}
template <class T>
void logsumexp_columns_kernel(const Columns<T>& columns_of, const ExpScale<T>& scale) {
    columns<RowOp::logsumexp>(columns_of, scale);
}

SORGUM_ISA_END
