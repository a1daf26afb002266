#pragma once

#include "kernels/elementwise.inl.h"
#include "kernels/special/extexp_sum.inl.h"
#include "kernels/special/grad.h"
#include "math/exp.h"

SORGUM_ISA_BEGIN

using namespace sorgum::special;

enum class GradOp { softmax, log_softmax };

// Sums in lanes of y dy (softmax) or dy (log_softmax), the products unrounded.
template <GradOp op, class T>
struct GradLanes;

template <GradOp op>
struct GradLanes<op, float> {
    f64x16 sum = splat<f64x16>(0.0);
    SORGUM_INLINE void add(f32x16 y, f32x16 dy) {
        if constexpr (op == GradOp::softmax)
            sum = fma(widen(y), widen(dy), sum);
        else
            sum = sum + widen(dy);
    }
    static SORGUM_INLINE SumPair fold(const GradLanes& a, const GradLanes& b) { return {fold_sum(a.sum + b.sum), 0.0}; }
};

template <GradOp op>
struct GradLanes<op, double> {
    LaneSum<double> lanes;
    SORGUM_INLINE void add(f64x16 y, f64x16 dy) {
        if constexpr (op == GradOp::softmax) {
            const f64x16 product = y * dy;
            lanes.add(product);
            lanes.error = lanes.error + fma(y, dy, splat<f64x16>(0.0) - product);
        } else {
            lanes.add(dy);
        }
    }
    static SORGUM_INLINE SumPair fold(const GradLanes& a, const GradLanes& b) {
        return {fold_sum(a.lanes.sum + b.lanes.sum), fold_sum(a.lanes.error + b.lanes.error)};
    }
};

template <GradOp op, class T>
SORGUM_INLINE SumPair grad_chunk(const T* y, const T* dy, index_t n) {
    GradLanes<op, T> lanes[2];
    index_t i = 0;
    for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
#pragma GCC unroll 2
        for (int v = 0; v < 2; ++v) {
            const index_t at = i + v * kLanes;
            prefetch_ahead(dy + at);
            if constexpr (op == GradOp::softmax)
                prefetch_ahead(y + at);
            lanes[v].add(load(y + at), load(dy + at));
        }
    }
    for (int v = 0; i < n; ++v, i += kLanes)
        lanes[v].add(load_first(y + i, n - i, T(0)), load_first(dy + i, n - i, T(0)));
    return GradLanes<op, T>::fold(lanes[0], lanes[1]);
}

SORGUM_INLINE SumPair grad_total(const SumPair* chunks, index_t count) {
    double high = chunks[0].high, low = chunks[0].low;
    for (index_t c = 1; c < count; ++c) {
        const double sum = high + chunks[c].high, added = sum - high;
        low += ((high - (sum - added)) + (chunks[c].high - added)) + chunks[c].low;
        high = sum;
    }
    const double total = high + low;
    if (!(total - total == 0.0))
        return {__builtin_nan(""), __builtin_nan("")};
    return {total, (high - total) + low};
}

// The last step, in the type itself, with the sum and 1 / T as pairs: where dy and the sum cancel, nothing is lost.
template <GradOp op, class T>
struct GradMap {
    using V = vec<T>;
    V high, low, inverse, inverse_low;
    SORGUM_INLINE GradMap(SumPair total, double temperature) {
        const double reciprocal = 1.0 / temperature;
        set(high, low, total);
        set(inverse, inverse_low, {reciprocal, __builtin_fma(0.0 - reciprocal, temperature, 1.0) / temperature});
    }
    static SORGUM_INLINE void set(V& rounded, V& rest, SumPair value) {
        const T nearest = static_cast<T>(value.high);
        rounded = splat<V>(nearest);
        rest = splat<V>(static_cast<T>((value.high - static_cast<double>(nearest)) + value.low));
    }
    SORGUM_INLINE V operator()(V y, V dy) const {
        V d;
        if constexpr (op == GradOp::softmax) {
            d = ((dy - high) - low) * y;
        } else {
            const V minus_p = splat<V>(T(0)) - exp(y);
            d = fma(minus_p, low, fma(minus_p, high, dy));
        }
        return canonicalise_nan(fma(d, inverse, d * inverse_low));
    }
};

// dx[i] = f(y[i], dy[i]); see map_elements. `fetch`: y and dy are not in the cache any more.
template <bool fetch, class T, class F>
SORGUM_INLINE void map_pairs(const T* y, const T* dy, T* dx, index_t n, bool streaming, const F& f) {
    const index_t head = streaming ? elements_to_boundary(dx) : -1;
    index_t i = 0;
    if (head >= 0 && n >= 4 * kLanes) {
        if (head > 0)
            store_first(dx, f(load_first(y, head, T(0)), load_first(dy, head, T(0))), head);
        for (i = head; i + kLanes <= n; i += kLanes) {
            if constexpr (fetch) {
                prefetch_ahead(y + i);
                prefetch_ahead(dy + i);
            }
            stream(dx + i, f(load(y + i), load(dy + i)));
        }
    } else {
        for (; i + kLanes <= n; i += kLanes)
            store(dx + i, f(load(y + i), load(dy + i)));
    }
    if (i < n)
        store_first(dx + i, f(load_first(y + i, n - i, T(0)), load_first(dy + i, n - i, T(0))), n - i);
}

template <GradOp op, class T>
SORGUM_INLINE void grad_sum(const T* y, const T* dy, index_t n, SumPair* chunks) {
    for (index_t i = 0; i < n; i += kChunk)
        *chunks++ = grad_chunk<op>(y + i, dy + i, n - i < kChunk ? n - i : kChunk);
}

template <GradOp op, class T>
SORGUM_INLINE void grad_rows(const GradRows<T>& r, double temperature) {
    // A short row would begin and end with a part of a line more often than it fills one.
    const bool aligned = elements_to_boundary(r.dx) == 0 && (r.dx_stride * static_cast<index_t>(sizeof(T))) % 64 == 0;
    const bool streaming = r.streaming && (aligned || r.n >= 16 * kLanes);
    for (index_t i = 0; i < r.rows; ++i) {
        const T *y = r.y + i * r.y_stride, *dy = r.dy + i * r.dy_stride;
        const SumPair chunk = grad_chunk<op>(y, dy, r.n);
        const GradMap<op, T> f(grad_total(&chunk, 1), temperature);
        map_pairs<false>(y, dy, r.dx + i * r.dx_stride, r.n, streaming, f);
    }
    if (streaming)
        stream_fence();
}

template <GradOp op, class T>
SORGUM_INLINE void grad_write(const T* y, const T* dy, T* dx, index_t n, SumPair total, double temperature,
                              bool streaming) {
    map_pairs<true>(y, dy, dx, n, streaming, GradMap<op, T>(total, temperature));
    if (streaming)
        stream_fence();
}

template <class T>
void softmax_grad_sum_kernel(const T* y, const T* dy, index_t n, SumPair* chunks) {
    grad_sum<GradOp::softmax>(y, dy, n, chunks);
}
template <class T>
void log_softmax_grad_sum_kernel(const T* y, const T* dy, index_t n, SumPair* chunks) {
    grad_sum<GradOp::log_softmax>(y, dy, n, chunks);
}
template <class T>
SumPair grad_total_kernel(const SumPair* chunks, index_t count) {
    return grad_total(chunks, count);
}
template <class T>
void softmax_grad_write_kernel(const T* y, const T* dy, T* dx, index_t n, SumPair total, double temperature,
                               bool streaming) {
    grad_write<GradOp::softmax>(y, dy, dx, n, total, temperature, streaming);
}
template <class T>
void log_softmax_grad_write_kernel(const T* y, const T* dy, T* dx, index_t n, SumPair total, double temperature,
                                   bool streaming) {
    grad_write<GradOp::log_softmax>(y, dy, dx, n, total, temperature, streaming);
}
template <class T>
void softmax_grad_rows_kernel(const GradRows<T>& rows, double temperature) {
    grad_rows<GradOp::softmax>(rows, temperature);
}
template <class T>
void log_softmax_grad_rows_kernel(const GradRows<T>& rows, double temperature) {
    grad_rows<GradOp::log_softmax>(rows, temperature);
}

template <class T>
void times_kernel(const T* x, T* y, index_t n, double factor, bool streaming) {
    map_elements(x, y, n, streaming, [&](vec<T> e) SORGUM_LAMBDA {
        if constexpr (sizeof(T) == 4)
            return canonicalise_nan(narrow(widen(e) * splat<f64x16>(factor)));
        else
            return canonicalise_nan(e * splat<f64x16>(factor));
    });
    if (streaming)
        stream_fence();
}

SORGUM_ISA_END
