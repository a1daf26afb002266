// Whole rows of more than one chunk, one after the other: the second pass over a row runs in the shadow of the first
// pass over the next one, so that memory is read and written while the sums are computed. The bits are those of the two
// passes apart.
#pragma once

#include "kernels/special/row_lanes.inl.h"

SORGUM_ISA_BEGIN

// The last step of the row before, on the vector or range at the same place.
template <RowOp op, class T>
struct SecondPass {
    static constexpr bool active = true;
    using V = vec<T>;
    const T* x;
    T* y;
    Terms<false, T> terms;
    Scale<V> factor;
    LogShift<T> shift;

    SORGUM_INLINE V result(V e) const {
        if constexpr (op == RowOp::softmax) {
            const V w = terms.value(e);
            if (__builtin_expect(any(both(lt(w, factor.tiny), lt(splat<V>(T(0)), w))), 0))
                return scale_careful(w, factor);
            return scale_plain(w, factor);
        } else {
            return shift(e);
        }
    }
    SORGUM_INLINE void vector(index_t i) const { stream(y + i, result(load(x + i))); }
    SORGUM_INLINE void range(index_t begin, index_t end) const {
        map_elements(x + begin, y + begin, end - begin, true, [&](V e) SORGUM_LAMBDA { return result(e); });
    }
};

template <RowOp op, class T>
SORGUM_NOINLINE void second_pass(const Rows<T>& r, index_t i, const ExpScale<T>& scale, const RowResult<T>& row) {
    const T* x = r.x + i * r.x_stride;
    T* y = r.y + i * r.y_stride;
    if constexpr (op == RowOp::softmax)
        softmax_scale_kernel(x, y, r.n, scale, row, r.empty, r.streaming);
    else
        log_softmax_shift_kernel(x, y, r.n, scale, row, r.empty, r.streaming);
}

template <RowOp op, class T>
SORGUM_INLINE void long_rows(const Rows<T>& r, const ExpScale<T>& scale) {
    using V = vec<T>;
    const bool aligned = elements_to_boundary(r.y) == 0 && (r.y_stride * static_cast<index_t>(sizeof(T))) % 64 == 0;
    RowResult<T> before = {};
    for (index_t i = 0; i < r.rows; ++i) {
        RowSum<T> sum;
        row_sum_clear(sum);
        const T* x = r.x + i * r.x_stride;
        T value;
        bool together = i > 0 && aligned && r.streaming && !special_row(before, r.empty, value);
        if (together) {
            const Reference<T> ref = make_reference(scale, before.max);
            together = !ref.shifted && scale.prescale == T(1);
            if (together) {
                const Terms<false, T> terms(ref.map, scale, before.max);
                const SecondPass<op, T> side = {
                    x - r.x_stride, r.y + (i - 1) * r.y_stride, terms,
                    make_scale<V>(before, terms.value(splat<V>(before.max))),
                    LogShift<T>(static_cast<double>(before.max), 0.0 - before.log_excess, scale)};
                sum_chunks(x, r.n, scale, sum, side);
            }
        }
        if (!together) {
            if (i > 0)
                second_pass<op>(r, i - 1, scale, before);
            exp_sum_kernel(x, r.n, scale, sum);
        }
        before = row_result(sum, scale, false);
        if constexpr (op == RowOp::log_softmax)
            refine(before, x, r.n, scale);
    }
    if (r.rows > 0)
        second_pass<op>(r, r.rows - 1, scale, before);
    if (r.streaming)
        stream_fence();
}

template <class T>
void softmax_long_rows_kernel(const Rows<T>& rows, const ExpScale<T>& scale) {
    long_rows<RowOp::softmax>(rows, scale);
}
template <class T>
void log_softmax_long_rows_kernel(const Rows<T>& rows, const ExpScale<T>& scale) {
    long_rows<RowOp::log_softmax>(rows, scale);
}

SORGUM_ISA_END
