// Products of rows of few elements: 16 at a time are transposed in registers, so that a lane holds a row.
#pragma once

#include "kernels/special/grad_blocks.inl.h"
#include "kernels/special/transposed_rows.inl.h"

SORGUM_ISA_BEGIN

// The sums of 16 rows of n < 16 elements, in the order of grad_chunk: each element has a lane of its own.
template <GradOp op, class T>
SORGUM_NOINLINE f64x16 grad_sums(const T* y, const T* dy, index_t n) {
    f64x16 lanes[kLanes];
    for (index_t l = 0; l < n; ++l) {
        const f64x16 g = load_f64(dy + l * kLanes), zero = splat<f64x16>(0.0);
        lanes[l] = op == GradOp::softmax_grad ? fma(load_f64(y + l * kLanes), g, zero) : zero + g;
    }
    return fold_lanes(lanes, n);
}

// Whether the sum of some row takes another last step.
template <class T>
SORGUM_INLINE bool any_extreme_sum(f64x16 total, double least_temperature) {
    double of_row[kLanes];
    store(of_row, total);
    bool found = false;
    for (const double sum : of_row)
        found = found || is_extreme_sum<T>(sum, least_temperature);
    return found;
}

template <GradOp op, class T>
SORGUM_INLINE void short_grad_rows(const GradRows<T>& r, double temperature) {
    using V = vec<T>;
    using D = f64x16;
    const index_t n = r.n;
    alignas(64) T y[kLanes * kLanes], dy[kLanes * kLanes];
    const bool contiguous = r.dx_stride == n;
    GradMap<op, T> map(temperature);
    constexpr bool none[kLanes] = {};
    for (index_t first = 0; first < r.rows; first += kLanes) {
        const index_t rows = r.rows - first < kLanes ? r.rows - first : kLanes;
        const T *const y_here = r.y + first * r.y_stride, *const dy_here = r.dy + first * r.dy_stride;
        T* const dx = r.dx + first * r.dx_stride;
        const auto readable = [&](index_t stride) SORGUM_LAMBDA { return (r.rows - first - 1) * stride + n; };
        if (r.streaming)
            for (index_t i = 0; i < n; ++i) {
                prefetch_ahead(y_here + i * kLanes);
                prefetch_ahead(dy_here + i * kLanes);
            }
        read_columns(y_here, r.y_stride, rows, n, readable(r.y_stride), y);
        read_columns(dy_here, r.dy_stride, rows, n, readable(r.dy_stride), dy);
        double least = temperature;
        if (r.temperatures != nullptr) {
            map = grad_map_of<op, T>(r.temperatures + first, rows);
            least = r.temperatures[first];
            for (index_t i = 1; i < rows; ++i)
                least = r.temperatures[first + i] < least ? r.temperatures[first + i] : least;
        }
        const D zero = splat<D>(0.0), sum = grad_sums<op>(y, dy, n);
        const D total = select(eq(sum - sum, zero), sum, splat<D>(__builtin_nan("")));
        if (any_extreme_sum<T>(total, least)) {
            for (index_t i = 0; i < rows; ++i)
                grad_rows<op, T>(
                    {y_here + i * r.y_stride, dy_here + i * r.dy_stride, dx + i * r.dx_stride, 1, n, n, n, n, false},
                    r.temperatures == nullptr ? temperature : r.temperatures[first + i]);
            continue;
        }
        const V nearest = from_f64<V>(total);
        map.set_sum(nearest, rest_of(total, sum - total, nearest));
        const GradMap<op, T> of_rows = map;
        for (index_t j = 0; j < n; ++j)
            store(dy + j * kLanes, of_rows(load(y + j * kLanes), load(dy + j * kLanes)));
        if (rows < kLanes || !contiguous) {
            write_some(dy, n, rows, dx, r.dx_stride, none, Unchanged());
        } else if (r.streaming) {
            alignas(64) T packed[kLanes * kLanes];
            write_columns(dy, n, packed, Unchanged());
            for (index_t i = 0; i < kLanes * n; i += kLanes)
                stream(dx + i, load(packed + i));
        } else {
            write_columns(dy, n, dx, Unchanged());
        }
    }
    if (r.streaming)
        stream_fence();
}

template <GradOp op, class T>
SORGUM_INLINE void grad_rows_of_any_length(const GradRows<T>& r, double temperature) {
    if constexpr (sizeof(T) == 4)  // float64 does without, for the size of the code
        if (!r.streaming && r.n >= kLeastGradBlock && r.n <= kMostGradVectors * kLanes)
            return grad_blocks<op, 1>(r, temperature);
    bool in_lanes =
        sizeof(T) == 4 && r.n < kLanes && (!r.streaming || (r.dx_stride == r.n && elements_to_boundary(r.dx) == 0));
    if (r.temperatures == nullptr) {
        in_lanes = in_lanes && !is_extreme_temperature<T>(temperature);
    } else {
        for (index_t i = 0; i < r.rows && in_lanes; ++i)
            in_lanes = !is_extreme_temperature<T>(r.temperatures[i]);
    }
    if constexpr (sizeof(T) == 4)
        if (in_lanes)
            return short_grad_rows<op>(r, r.temperatures == nullptr ? temperature : 1.0);
    grad_rows<op>(r, temperature);
}

template <class T>
void softmax_grad_rows_kernel(const GradRows<T>& rows, double temperature) {
    grad_rows_of_any_length<GradOp::softmax_grad>(rows, temperature);
}
template <class T>
void log_softmax_grad_rows_kernel(const GradRows<T>& rows, double temperature) {
    grad_rows_of_any_length<GradOp::log_softmax_grad>(rows, temperature);
}

SORGUM_ISA_END
