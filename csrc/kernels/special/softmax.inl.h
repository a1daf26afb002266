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
    result = result_of(row, scale, subtract_max);
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

// What softmax is multiplied by for the gradient of logsumexp, dy / T. Where that is a number of the type, as it is for
// T = 1, the product is rounded once in the type; else in float64, and then to the type. What is absent has the softmax
// 0, and the gradient 0 even where dy is no number.
template <class T>
struct Product {
    using V = vec<T>;
    f64x16 factor;
    V single;
    bool is_single;
    Product() = default;
    explicit SORGUM_INLINE Product(f64x16 f) : factor(f), single(from_f64<V>(f)) {
        is_single = all(both(eq(to_f64(single), f), eq(f - f, splat<f64x16>(0.0))));
    }
    explicit SORGUM_INLINE Product(double f) : Product(splat<f64x16>(f)) {}
    SORGUM_INLINE V operator()(V y) const {
        if (is_single)
            return y * single;
        const V product = canonicalise_nan(from_f64<V>(to_f64(y) * factor));
        return zero_where(both(eq(y, splat<V>(T(0))), is_nan(product)), product);
    }
};

struct Unchanged {
    template <class V>
    SORGUM_INLINE V operator()(V y) const {
        return y;
    }
};

// The exponent, relative to the maximum's, below which an element's softmax may be subnormal.
template <class T>
inline constexpr double kSmallExponent = sizeof(T) == 4 ? -80.0 : -960.0;

template <bool shifted, class T, class F>
SORGUM_INLINE void softmax_scale_mapped(const T* x, T* y, index_t n, const ExpScale<T>& scale, const Reference<T>& ref,
                                        const RowResult<T>& row, bool streaming, const F& last) {
    using V = vec<T>;
    const Terms<shifted, T> terms(ref.map, scale, row.max);
    const Scale<V> s = make_scale<V>(row, terms.value(splat<V>(row.max)));
    const V zero = splat<V>(T(0));
    if constexpr (shifted) {  // rare: a loop
        for (index_t i = 0; i < n; i += kLanes)
            store_first(y + i, last(scale_subnormal(terms.value(load_first(x + i, n - i, T(0))), s)), n - i);
        return;
    }
    map_elements(x, y, n, streaming, [&](V e) SORGUM_LAMBDA {
        const V w = terms.value(e);
        if (__builtin_expect(any(both(lt(w, s.tiny), lt(zero, w))), 0))
            return last(scale_subnormal(w, s));
        return last(scale_normal(w, s));
    });
}

template <class T>
SORGUM_INLINE void fill(T* y, index_t n, vec<T> value) {
    for (index_t i = 0; i < n; i += kLanes)
        store_first(y + i, value, n - i);
}

// softmax, and what `last` makes of it.
template <class T, class F>
SORGUM_INLINE void softmax_scale_then(const T* x, T* y, index_t n, const ExpScale<T>& scale, const RowResult<T>& row,
                                      T empty, bool streaming, const F& last) {
    T value;
    if (special_row(row, empty, value))
        return fill(y, n, last(splat<vec<T>>(value)));
    const Reference<T> ref = row.subtract_max ? make_max_reference(scale, row.max) : reference_of(scale, row.max);
    if (ref.shifted || scale.prescale != T(1))
        softmax_scale_mapped<true>(x, y, n, scale, ref, row, streaming, last);
    else
        softmax_scale_mapped<false>(x, y, n, scale, ref, row, streaming, last);
    if (streaming)
        stream_fence();
}

template <class T>
void softmax_scale_kernel(const T* x, T* y, index_t n, const ExpScale<T>& scale, const RowResult<T>& row, T empty,
                          bool streaming) {
    softmax_scale_then(x, y, n, scale, row, empty, streaming, Unchanged());
}

// A row without elements has the softmax 0.
template <class T>
void logsumexp_grad_scale_kernel(const T* x, T* y, index_t n, const ExpScale<T>& scale, const RowResult<T>& row,
                                 double factor, bool streaming) {
    softmax_scale_then(x, y, n, scale, row, T(0), streaming, Product<T>(factor));
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
    SORGUM_INLINE LogShift(f64x16 max64, f64x16 minus_log64, const LaneScale<T>& s)
        : max_x(max64),
          minus_log(minus_log64),
          inverse(s.inv_temperature),
          inverse_low(s.inv_temperature_low),
          lowest(splat<f64x16>(0.0) - s.farthest) {}
    // x and the maximum are given times `down`, a power of two.
    SORGUM_INLINE LogShift(double max64, double minus_log64, const ExpScale<T>& s, double down)
        : LogShift(max64, minus_log64, s) {
        const f64x16 up = splat<f64x16>(1.0 / down);
        inverse = inverse * up;
        inverse_low = inverse_low * up;
        lowest = lowest * splat<f64x16>(down);
    }
    SORGUM_INLINE f64x16 of_wide(f64x16 x) const { return fma(x - max_x, inverse, minus_log); }
    SORGUM_INLINE f32x16 operator()(f32x16 x) const { return narrow(of_wide(widen(x))); }
    SORGUM_INLINE f64x16 operator()(f64x16 x) const {
        const f64x16 d = x - max_x;
        return fma(d, inverse, fma(max(d, lowest), inverse_low, minus_log));
    }
};

// One vector of results, through the caches.
SORGUM_INLINE void store_shifted(float* y, const float* x, const LogShift<float>& shift) {
    store_narrow(y, shift.of_wide(load_wide(x)));
}
SORGUM_INLINE void store_shifted(double* y, const double* x, const LogShift<double>& shift) {
    store(y, shift(load(x)));
}

template <class T>
void log_softmax_shift_kernel(const T* x, T* y, index_t n, const ExpScale<T>& scale, const RowResult<T>& row, T empty,
                              bool streaming) {
    T value;
    if (special_row(row, empty, value))
        return fill(y, n, splat<vec<T>>(value));
    const double max64 = static_cast<double>(row.max), minus_log = 0.0 - row.log_excess;
    // x - max may overflow though its quotient by T does not, and 1 / T may need another unit. Rows of which either
    // holds come here: for them c max is not moderate, or T is extreme.
    const double down = sizeof(T) == 4 ? 1.0 : scale.down != 1.0 ? scale.down : max64 >= 0x1p960 ? 0.5 : 1.0;
    const LogShift<T> shift(max64 * down, minus_log, scale, down / scale.down);
    if (down == 1.0)
        map_elements(x, y, n, streaming, [&](vec<T> e) SORGUM_LAMBDA { return shift(e); });
    else
        map_elements(x, y, n, streaming,
                     [&](vec<T> e) SORGUM_LAMBDA { return shift(e * splat<vec<T>>(static_cast<T>(down))); });
    if (streaming)
        stream_fence();
}

SORGUM_ISA_END
