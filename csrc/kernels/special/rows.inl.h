#pragma once

#include "kernels/special/row_blocks.inl.h"
#include "kernels/special/transposed_rows.inl.h"

SORGUM_ISA_BEGIN

template <RowOp op, class T>
SORGUM_INLINE void short_rows(const Rows<T>& rows, const ExpScale<T>& scale) {
    if constexpr (sizeof(T) == 4)  // float64 does without, for the size of the code
        if (rows.n >= (rows.rows < kFewRows ? kLanes : kLeastBlockRow<op>) && rows.n <= kMostBlockRow)
            return blocks_of_rows<op>(rows, scale);
    if (rows.n >= kHalfGroup)
        return batched_rows<op>(rows, scale);
    if (rows.n > 0)
        return transposed_rows<op>(rows, scale);
    if (op == RowOp::logsumexp)
        for (index_t i = 0; i < rows.rows; ++i)
            rows.y[i * rows.y_stride] = -from_bits(Format<T>::infinity);
}

template <class T>
void masked_copy_kernel(const T* x, const bool* mask, T* y, index_t n) {
    const vec<T> absent = splat<vec<T>>(-from_bits(Format<T>::infinity));
    index_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
        prefetch_ahead(x + i);
        store(y + i, select_bytes(mask + i, load(x + i), absent));
    }
    if (i < n) {
        bool last[kLanes] = {};
        __builtin_memcpy(last, mask + i, static_cast<std::size_t>(n - i));
        store_first(y + i, select_bytes(last, load_first(x + i, n - i, T(0)), absent), n - i);
    }
}

template <class T>
void softmax_rows_kernel(const Rows<T>& rows, const ExpScale<T>& scale) {
    short_rows<RowOp::softmax>(rows, scale);
}
template <class T>
void log_softmax_rows_kernel(const Rows<T>& rows, const ExpScale<T>& scale) {
    short_rows<RowOp::log_softmax>(rows, scale);
}
template <class T>
void logsumexp_grad_rows_kernel(const Rows<T>& rows, const ExpScale<T>& scale) {
    if constexpr (sizeof(T) == 4)
        short_rows<RowOp::logsumexp_grad>(rows, scale);
    else  // batches of float64 would be a tenth of all the code of the family
        for (index_t i = 0; i < rows.rows; ++i)
            single_row<RowOp::logsumexp_grad>(rows, i, scale);
}
template <class T>
void logsumexp_rows_kernel(const Rows<T>& rows, const ExpScale<T>& scale) {
    short_rows<RowOp::logsumexp>(rows, scale);
}

SORGUM_ISA_END
