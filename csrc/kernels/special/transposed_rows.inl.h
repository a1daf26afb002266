// Rows of at most one vector: 16 rows are transposed in registers, so that a lane holds a row.
#pragma once

#include "kernels/special/column_lanes.inl.h"

SORGUM_ISA_BEGIN

template <RowOp op, class T>
SORGUM_INLINE void transposed_rows(const Rows<T>& r, const ExpScale<T>& scale) {
    using V = vec<T>;
    const T least = -from_bits(Format<T>::infinity);
    const index_t n = r.n;
    alignas(64) T columns[kLanes * kLanes];
    // Contiguous results are packed here and leave as whole cache lines.
    alignas(64) T packed[kLanes * kLanes];
    const bool streaming = r.streaming && r.y_stride == n && elements_to_boundary(r.y) == 0;
    for (index_t first = 0; first < r.rows; first += kLanes) {
        const index_t rows = r.rows - first < kLanes ? r.rows - first : kLanes;
        V e[kLanes];
        for (index_t i = 0; i < kLanes; ++i) {
            const T* x = r.x + (first + i) * r.x_stride;
            prefetch_ahead(x);
            e[i] = i < rows ? load_first(x, n, least) : splat<V>(T(0));
        }
        transpose(e);
        V max_x = splat<V>(least), min_x = splat<V>(-least);
        for (index_t j = 0; j < n; ++j) {
            max_x = max(e[j], max_x);
            min_x = min(e[j], min_x);
            store(columns + j * kLanes, e[j]);
        }
        ReferenceLanes<T> lanes;
        ColumnResult<op, T> result;
        sum_columns<1, op>(columns, n, 1, &max_x, &min_x, scale, &lanes, &result);
        if constexpr (op == RowOp::logsumexp) {
            T values[kLanes];
            store(values, result.value);
            for (index_t i = 0; i < rows; ++i) {
                if (lanes.irregular[i])
                    single_row<op>(r, first + i, scale);
                else
                    r.y[(first + i) * r.y_stride] = values[i];
            }
            continue;
        } else {
            if constexpr (op == RowOp::logsumexp_grad)
                result.product = Product<T>(load_first(r.factors + first, rows, 0.0));
            for (index_t j = 0; j < kLanes; ++j)
                e[j] = j < n ? result(load(columns + j * kLanes)) : splat<V>(T(0));
            transpose(e);
            if (streaming && rows == kLanes && !any_irregular(lanes, rows)) {
                for (index_t i = 0; i < kLanes; ++i)
                    store_first(packed + i * n, e[i], n);
                for (index_t i = 0; i < kLanes * n; i += kLanes)
                    stream(r.y + first * n + i, load(packed + i));
                continue;
            }
            for (index_t i = 0; i < rows; ++i) {
                if (lanes.irregular[i])
                    single_row<op>(r, first + i, scale);
                else
                    store_first(r.y + (first + i) * r.y_stride, e[i], n);
            }
        }
    }
    if (r.streaming)
        stream_fence();
}

SORGUM_ISA_END
