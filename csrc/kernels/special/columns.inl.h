// Rows of at most one chunk that lie side by side, as along any axis but the last: 16 rows are the lanes of a vector,
// and nothing is transposed. A block of some vectors is packed into scratch on its first reading, since rows of memory
// a power of two apart share the sets of every cache.
#pragma once

#include "kernels/special/column_lanes.inl.h"

SORGUM_ISA_BEGIN

inline constexpr index_t kRowsAhead = 16;  // how many rows of memory ahead a block is prefetched

template <class T>
SORGUM_INLINE void prefetch_lines(const T* p) {
    for (unsigned line = 0; line < kLanes * sizeof(T); line += 64)
        prefetch(reinterpret_cast<const char*>(p) + line);
}

// Columns `first` to `first + width`, packed row by row of memory.
template <class T>
struct ColumnBlock {
    static constexpr index_t most = special::kMostColumnVectors;
    index_t first, width, vectors;
    vec<T> maxima[most], minima[most];
};

// Calls f(vector, its first column, how many of its columns exist) along a row of memory.
template <class T, class F>
SORGUM_INLINE void for_each_vector(const ColumnBlock<T>& b, F&& f) {
    for (index_t c = 0; c < b.vectors; ++c) {
        const index_t left = b.width - c * kLanes;
        f(c, b.first + c * kLanes, left < kLanes ? left : kLanes);
    }
}

template <class T>
SORGUM_INLINE void pack_columns(const Columns<T>& r, ColumnBlock<T>& b) {
    using V = vec<T>;
    const T infinity = from_bits(Format<T>::infinity);
    for (index_t c = 0; c < b.vectors; ++c) {
        b.maxima[c] = splat<V>(-infinity);
        b.minima[c] = splat<V>(infinity);
    }
    T* packed = r.scratch;
    for (index_t j = 0; j < r.n; ++j) {
        const T* const x = r.x + j * r.x_along;
        // Beyond the last row the next block begins.
        const T* const ahead =
            j + kRowsAhead < r.n ? x + kRowsAhead * r.x_along : r.x + (j + kRowsAhead - r.n) * r.x_along + b.width;
        for_each_vector(b, [&](index_t c, index_t at, index_t count) SORGUM_LAMBDA {
            prefetch_lines(ahead + at);
            const V e = count == kLanes ? load(x + at) : load_first(x + at, count, T(0));
            b.maxima[c] = max(e, b.maxima[c]);
            b.minima[c] = min(e, b.minima[c]);
            store(packed, e);
            packed += kLanes;
        });
    }
}

// Writes the results of a block but those of vectors that are odd.
template <class T, class F>
SORGUM_INLINE void write_columns(const Columns<T>& r, const ColumnBlock<T>& b, const bool* odd, bool streaming,
                                 F&& result) {
    const T* packed = r.scratch;
    for (index_t j = 0; j < r.n; ++j) {
        T* const y = r.y + j * r.y_along;
        for_each_vector(b, [&](index_t c, index_t at, index_t count) SORGUM_LAMBDA {
            if (!odd[c]) {
                const vec<T> out = result(c, load(packed));
                if (count < kLanes) {
                    store_first(y + at, out, count);
                } else if (streaming) {
                    stream(y + at, out);
                } else {
                    prefetch_lines(y + at + kRowsAhead * r.y_along);
                    store(y + at, out);
                }
            }
            packed += kLanes;
        });
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
    constexpr index_t most = ColumnBlock<T>::most;
    const index_t widest = special::columns_per_block<T>(r.n);
    // Results stream as whole cache lines, so the first block ends where one begins in every row of memory.
    const index_t head = elements_to_boundary(r.y);
    const bool streaming = r.streaming && head >= 0 && (r.y_along * static_cast<index_t>(sizeof(T))) % 64 == 0;
    for (index_t first = 0; first < r.columns;) {
        ColumnBlock<T> b;
        const index_t wanted = streaming && first == 0 && head > 0 ? head : widest;
        b.first = first;
        b.width = wanted < r.columns - first ? wanted : r.columns - first;
        b.vectors = (b.width + kLanes - 1) / kLanes;
        first += b.width;
        pack_columns(r, b);
        ReferenceLanes<T> refs[most];
        ColumnResult<op, T> results[most];
        bool odd[most];
        sum_columns<op, most>(r.scratch, r.n, b.vectors, b.maxima, b.minima, scale, refs, results);
        for_each_vector(b, [&](index_t c, index_t at, index_t count) SORGUM_LAMBDA {
            odd[c] = any_odd(refs[c], count);
            if (odd[c])
                columns_one_by_one<op>(r, at, count, scale);
            else if constexpr (op == RowOp::logsumexp)
                store_first(r.y + at, results[c].value, count);
        });
        if constexpr (op != RowOp::logsumexp)
            write_columns(r, b, odd, streaming, [&](index_t c, vec<T> e) SORGUM_LAMBDA { return results[c](e); });
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
