#pragma once

#include "kernels/special/extexp_sum.inl.h"
#include "kernels/special/softmax.h"

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

// y = RN(w factor). A multiplication whose result is subnormal takes an assist of the processor's microcode, some
// hundred cycles. So where a result may be subnormal it is formed in fixed point: w factor 2^(-e_min) + 2^mantissa_bits
// rounds to the integer that is the subnormal's encoding. `tiny` separates the two cases: what is below it is
// subnormal; just above it a result may still be, which costs time and no bits.
template <class V>
struct Scale {
    V factor, low;  // low: what rounding the factor lost, used for float64
    V fixed, tiny;
    V top, top_result;  // the maximum's w, and its result: rounded once from float64, and never above 1
};
SORGUM_INLINE f64x16 to_f64(f32x16 a) { return widen(a); }
SORGUM_INLINE f64x16 to_f64(f64x16 a) { return a; }
template <class V>
SORGUM_INLINE V from_f64(f64x16 a) {
    if constexpr (sizeof(element_t<V>) == 4)
        return narrow(a);
    else
        return a;
}

template <class V>
SORGUM_INLINE Scale<V> make_scale(RowTotal<f64x16> total, f64x16 max_mantissa, V top) {
    using T = element_t<V>;
    constexpr int e_min = 1 - Format<T>::exponent_bias - Format<T>::mantissa_bits;  // of the least subnormal
    const double up = power_of_two_f64(-e_min / 2), up2 = power_of_two_f64(-e_min - -e_min / 2);
    constexpr double below_normal = (1 - 0x1p-10) * static_cast<double>(Format<T>::smallest_normal);
    Scale<V> s;
    const f64x16 unit = splat<f64x16>(power_of_two_f64(-kHeadroom<T>));
    const f64x16 factor = unit / total.sum;
    s.factor = from_f64<V>(factor);
    s.top = top;
    if constexpr (sizeof(T) == 4) {  // one division a row: with so few digits to keep, products will do
        s.low = splat<V>(T(0));
        s.top_result = from_f64<V>((max_mantissa * factor) * splat<f64x16>(power_of_two_f64(kHeadroom<T>)));
        s.tiny = from_f64<V>(total.sum * splat<f64x16>(below_normal * power_of_two_f64(kHeadroom<T>)));
    } else {
        const f64x16 negative = splat<f64x16>(0.0) - factor;
        s.low = fma(negative, total.low, fma(negative, total.sum, unit)) / total.sum;
        s.top_result = max_mantissa / total.sum;
        s.tiny = splat<V>(T(below_normal)) / s.factor;
    }
    s.fixed = from_f64<V>((to_f64(s.factor) * splat<f64x16>(up)) * splat<f64x16>(up2));
    return s;
}

template <class V>
SORGUM_INLINE Scale<V> make_scale(const RowResult<element_t<V>>& row, V top) {
    return make_scale<V>({splat<f64x16>(row.sum), splat<f64x16>(row.sum_low)}, splat<f64x16>(row.max_mantissa), top);
}

template <class V>
SORGUM_INLINE V scale_plain(V w, const Scale<V>& s) {
    const V y = sizeof(element_t<V>) == 4 ? w * s.factor : fma(w, s.factor, w * s.low);
    return select(lt(w, s.top), y, s.top_result);
}
template <class V>
SORGUM_INLINE V scale_careful(V w, const Scale<V>& s) {
    using T = element_t<V>;
    const auto small = lt(w, s.tiny);
    const V normal = scale_plain(select(small, splat<V>(T(1)), w), s);
    const V one = splat<V>(Format<T>::mantissa_bits == 23 ? T(0x1p23) : T(0x1p52));
    const V encoded = fma(w, s.fixed, one);
    return select(small, from_bits(int_sub(bits(encoded), bits(one))), normal);
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

// The row's value when it has one: NaN, or `empty` where no element counts.
template <class T>
SORGUM_INLINE bool special_row(const RowResult<T>& row, T empty, T& value) {
    if (row.has_nan || row.has_inf) {
        value = from_bits(Format<T>::quiet_nan);
        return true;
    }
    value = empty;
    return row.max == -from_bits(Format<T>::infinity);
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
