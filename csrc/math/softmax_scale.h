// The last step of softmax: a term times one factor per row.
#pragma once

#include "math/extexp.h"

SORGUM_ISA_BEGIN

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

template <class V>
SORGUM_HD auto to_f64(V a) {
    if constexpr (sizeof(element_t<V>) == 4)
        return widen(a);
    else
        return a;
}
template <class V, class D>
SORGUM_HD V from_f64(D a) {
    if constexpr (sizeof(element_t<V>) == 4)
        return narrow(a);
    else
        return a;
}

template <class V, class D>
SORGUM_HD Scale<V> make_scale(RowTotal<D> total, D max_mantissa, V top) {
    using T = element_t<V>;
    constexpr int e_min = 1 - Format<T>::exponent_bias - Format<T>::mantissa_bits;  // of the least subnormal
    const double up = power_of_two_f64(-e_min / 2), up2 = power_of_two_f64(-e_min - -e_min / 2);
    constexpr double below_normal = (1 - 0x1p-10) * static_cast<double>(Format<T>::smallest_normal);
    Scale<V> s;
    const D unit = splat<D>(power_of_two_f64(-kHeadroom<T>));
    const D factor = unit / total.sum;
    s.factor = from_f64<V>(factor);
    s.top = top;
    if constexpr (sizeof(T) == 4) {  // one division a row: with so few digits to keep, products will do
        s.low = splat<V>(T(0));
        s.top_result = from_f64<V>((max_mantissa * factor) * splat<D>(power_of_two_f64(kHeadroom<T>)));
        s.tiny = from_f64<V>(total.sum * splat<D>(below_normal * power_of_two_f64(kHeadroom<T>)));
    } else {
        const D negative = splat<D>(0.0) - factor;
        s.low = fma(negative, total.low, fma(negative, total.sum, unit)) / total.sum;
        s.top_result = max_mantissa / total.sum;
        s.tiny = splat<V>(T(below_normal)) / s.factor;
    }
    s.fixed = from_f64<V>((to_f64(s.factor) * splat<D>(up)) * splat<D>(up2));
    return s;
}

// Where no result is subnormal.
template <class V>
SORGUM_HD V scale_normal(V w, const Scale<V>& s) {
    const V y = sizeof(element_t<V>) == 4 ? w * s.factor : fma(w, s.factor, w * s.low);
    return select(lt(w, s.top), y, s.top_result);
}
// Where some may be.
template <class V>
SORGUM_HD V scale_subnormal(V w, const Scale<V>& s) {
    using T = element_t<V>;
    const auto small = lt(w, s.tiny);
    const V normal = scale_normal(select(small, splat<V>(T(1)), w), s);
    const V one = splat<V>(Format<T>::mantissa_bits == 23 ? T(0x1p23) : T(0x1p52));
    const V encoded = fma(w, s.fixed, one);
    return select(small, from_bits(int_sub(bits(encoded), bits(one))), normal);
}

// The row's value when it has one: NaN, or `empty` where no element counts.
template <class T>
SORGUM_HD bool special_row(const RowResult<T>& row, T empty, T& value) {
    if (row.has_nan || row.has_inf) {
        value = from_bits(Format<T>::quiet_nan);
        return true;
    }
    value = empty;
    return row.max == -from_bits(Format<T>::infinity);
}

SORGUM_ISA_END
