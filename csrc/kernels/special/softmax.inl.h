#pragma once

#include "kernels/special/extexp_sum.inl.h"
#include "kernels/special/softmax.h"
#include "math/softmax_scale.h"

SORGUM_ISA_BEGIN

using namespace sorgum::special;

template <class T>
void exp_scale_kernel(double temperature, ExpScale<T>& scale) {
    scale = make_exp_scale<T>(temperature);
}

template <class T>
void row_clear_kernel(RowSum<T>& row) {
    row_sum_clear(row);
}

template <class T>
void row_result_kernel(const RowSum<T>& row, const ExpScale<T>& scale, bool subtract_max, RowResult<T>& result) {
    result = row_result(row, scale, subtract_max);
}

template <class T>
void row_merge_kernel(RowSum<T>& into, const ExpScale<T>& scale, const RowSum<T>& from) {
    row_sum_merge(into, scale, from);
}

// ---- the second pass ----

template <class V>
SORGUM_INLINE Scale<V> make_scale(const RowResult<element_t<V>>& row, V top) {
    return make_scale<V>({splat<f64x16>(row.sum), splat<f64x16>(row.sum_low)}, splat<f64x16>(row.max_mantissa), top);
}

// The exponent, relative to the maximum's, below which an element's softmax may be subnormal.
template <class T>
inline constexpr double kSmallExponent = sizeof(T) == 4 ? -80.0 : -960.0;

template <bool shifted, class T>
SORGUM_INLINE void softmax_scale_mapped(const T* x, T* y, index_t n, const ExpScale<T>& scale, const Reference<T>& ref,
                                        const RowResult<T>& row, bool streaming) {
    using V = vec<T>;
    const Terms<shifted, T> terms(ref.map, scale, row.max);
    const Scale<V> s = make_scale<V>(row, terms.value(splat<V>(row.max)));
    const V zero = splat<V>(T(0));
    map_elements(x, y, n, streaming, [&](V e) SORGUM_LAMBDA {
        const V w = terms.value(e);
        if (__builtin_expect(any(both(lt(w, s.tiny), lt(zero, w))), 0))
            return scale_careful(w, s);
        return scale_plain(w, s);
    });
}

template <class T>
SORGUM_INLINE void fill(T* y, index_t n, T value) {
    for (index_t i = 0; i < n; i += kLanes)
        store_first(y + i, splat<vec<T>>(value), n - i);
}

template <class T>
void softmax_scale_kernel(const T* x, T* y, index_t n, const ExpScale<T>& scale, const RowResult<T>& row, T empty,
                          bool streaming) {
    T value;
    if (special_row(row, empty, value))
        return fill(y, n, value);
    const Reference<T> ref = row.subtract_max ? make_max_reference(scale, row.max) : make_reference(scale, row.max);
    if (ref.shifted || scale.prescale != T(1))
        softmax_scale_mapped<true>(x, y, n, scale, ref, row, streaming);
    else
        softmax_scale_mapped<false>(x, y, n, scale, ref, row, streaming);
    if (streaming)
        stream_fence();
}

// y = (x - max) / T - log(sum / exp(max / T)), in float64.
template <class T>
struct LogShift {
    f64x16 max_x, minus_log, inverse, inverse_low, lowest;
    LogShift() = default;
    SORGUM_INLINE LogShift(f64x16 max64, f64x16 minus_log64, const ExpScale<T>& s)
        : max_x(max64),
          minus_log(minus_log64),
          inverse(splat<f64x16>(s.inv_temperature)),
          inverse_low(splat<f64x16>(s.inv_temperature_low)),
          lowest(splat<f64x16>(-s.farthest)) {}
    SORGUM_INLINE LogShift(double max64, double minus_log64, const ExpScale<T>& s)
        : LogShift(splat<f64x16>(max64), splat<f64x16>(minus_log64), s) {}
    SORGUM_INLINE f32x16 operator()(f32x16 x) const { return narrow(fma(widen(x) - max_x, inverse, minus_log)); }
    SORGUM_INLINE f64x16 operator()(f64x16 x) const {
        const f64x16 d = x - max_x;
        return fma(d, inverse, fma(max(d, lowest), inverse_low, minus_log));
    }
};

template <class T>
void log_softmax_shift_kernel(const T* x, T* y, index_t n, const ExpScale<T>& scale, const RowResult<T>& row, T empty,
                              bool streaming) {
    T value;
    if (special_row(row, empty, value))
        return fill(y, n, value);
    const LogShift<T> shift(static_cast<double>(row.max), 0.0 - row.log_excess, scale);
    map_elements(x, y, n, streaming, [&](vec<T> e) SORGUM_LAMBDA { return shift(e); });
    if (streaming)
        stream_fence();
}

SORGUM_ISA_END
