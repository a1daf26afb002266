#pragma once

#include "kernels/special/narrow_rows.inl.h"
#include "kernels/special/row_batches.inl.h"

SORGUM_ISA_BEGIN

template <RowOp op, class T>
SORGUM_INLINE void short_rows(const Rows<T>& rows, const ExpScale<T>& scale) {
    if (rows.n > kLanes)
        return batched_rows<op>(rows, scale);
    if (rows.n > 0)
        return narrow_rows<op>(rows, scale);
    if (op == RowOp::logsumexp)
        for (index_t i = 0; i < rows.rows; ++i)
            rows.y[i * rows.y_stride] = -from_bits(Format<T>::infinity);
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
void logsumexp_rows_kernel(const Rows<T>& rows, const ExpScale<T>& scale) {
    short_rows<RowOp::logsumexp>(rows, scale);
}

SORGUM_ISA_END
