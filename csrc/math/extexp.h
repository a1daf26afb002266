// exp(x / T) as a pair, w 2^e, relative to the largest element of a chunk: the heart of the two-pass softmax
// (Dukhan and Ablavatski 2020, "Two-Pass Softmax Algorithm", section 4), with our deviations:
//   - the exponent's reference is the chunk's maximum instead of a running maximum per lane;
//   - w = 2^(c x - N + kHeadroom) is one float, N the exponent of the maximum: terms down to 2^-189 of the largest
//     (2^-1114 for double) are normal numbers; below half of that they, and -inf, are exact zeros. 2^40 terms below
//     that do not add up to a least subnormal;
//   - the temperature is folded into the range reduction: x / T is never rounded;
//   - where c x leaves [-8192, 8192] the chunk's maximum is subtracted first, which is exact for every element that
//     is not negligible (Sterbenz), and the fraction of c max is added back to the reduced argument.
#pragma once

#include "math/exact_sum.h"
#include "math/log.h"
#include "math/softmax_state.h"

SORGUM_ISA_BEGIN

template <class T>
inline constexpr int kHeadroom = Format<T>::mantissa_bits + 40;

inline constexpr double kUnshiftedLimit = 8192.0;  // |c max| up to which no maximum is subtracted
inline constexpr double kFarLimit = 0x1p62;        // |c max| beyond which only elements equal to the maximum matter

SORGUM_HD double power_of_two_f64(index_t n) {  // 2^n, n clamped to what a double can hold
    if (n > 1023)
        return from_bits(Format<double>::infinity);
    if (n < -1074)
        return 0.0;
    if (n >= -1022)
        return from_bits((n + 1023) << 52);
    return from_bits(std::int64_t(1) << (n + 1074));
}

// value * 2^n with one rounding unless the result is subnormal.
SORGUM_HD double scale_by_power_f64(double value, index_t n) {
    if (n > 1000)
        return (value * 0x1p1000) * power_of_two_f64(n - 1000);
    if (n < -1000)
        return (value * 0x1p-1000) * power_of_two_f64(n + 1000);
    return value * power_of_two_f64(n);
}

inline constexpr double kLog2e[3] = {0x1.71547652b82fep0, 0x1.777d0ffda0d24p-56, -0x1.60bb8a5442ab9p-110};

// log2(e) to 159 bits, divided by T with exact remainders.
template <class T>
SORGUM_HD ExpScale<T> make_exp_scale(double temperature) {
    constexpr double l1 = kLog2e[0], l2 = kLog2e[1], l3 = kLog2e[2];
    // Of float32 there is no x for which 1 / T is more than nothing where that would be subnormal.
    constexpr int down = 64;
    const bool is_down = sizeof(T) == 8 && temperature > 0x1p960;
    ExpScale<T> s;
    s.down = is_down ? power_of_two_f64(-down) : 1.0;
    const double t = temperature * s.down;
    s.c1 = l1 / t;
    double rest = fma(-s.c1, t, l1) + l2;
    s.c2 = rest / t;
    rest = fma(-s.c2, t, rest) + l3;
    s.c3 = rest / t;
    s.inv_temperature = 1.0 / t;
    s.inv_temperature_low = fma(-s.inv_temperature, t, 1.0) / t;
    s.farthest = Format<double>::largest * (temperature < 1.0 ? temperature : 1.0);
    // Keep the factor of the elements well inside T's range; a factor that has to be clamped only meets differences
    // that are certain to be negligible (large c) or to vanish (small c).
    constexpr int plain = sizeof(T) == 4 ? 100 : 900, most = sizeof(T) == 4 ? 120 : 1000;
    const int of_c = is_down ? -down : 0;  // c = (c1 + c2 + c3) 2^of_c
    int e = static_cast<int>((bits(s.c1) >> 52) & 0x7FF) - 1023 + of_c;
    if (e >= -plain && e < plain)
        e = 0;
    e = e > most ? most : e < -most ? -most : e;
    const double largest = power_of_two_f64(plain), smallest = power_of_two_f64(-plain);
    double c1 = scale_by_power_f64(s.c1, of_c - e), c2 = scale_by_power_f64(s.c2, of_c - e);
    if (!(c1 < largest))
        c1 = largest, c2 = 0;
    if (!(c1 > smallest))
        c1 = smallest, c2 = 0;
    s.prescale = static_cast<T>(power_of_two_f64(e));
    s.c_hi = static_cast<T>(c1);
    s.c_lo = static_cast<T>((c1 - static_cast<double>(s.c_hi)) + c2);
    s.inv_c = 1.0 / c1;
    return s;
}

// e - reference, clamped where it does not fit an int: beyond 2^13 only the sign matters.
SORGUM_HD index_t exponent_above(index_t e, index_t reference) {
    const index_t half = e / 2 - reference / 2;
    return half < -4096 ? -8192 : half > 4096 ? 8192 : e - reference;
}

template <class T>
SORGUM_HD bool is_far(const ExpScale<T>& s, T max) {
    const double cm = s.c1 * (static_cast<double>(max) * s.down);
    return !(cm < kFarLimit && cm > -kFarLimit);
}

// How the elements of a chunk are mapped to w, for one chunk (L = T) or, in lanes, for several rows.
template <class L>
struct ExpMap {
    L bias, fraction, lowest, magic;
};

// The reference of a chunk or row whose largest element is `max`: exp(x / T) = w(x) 2^(exponent - kHeadroom).
template <class T>
struct Reference {
    ExpMap<T> map;
    bool shifted, far;
    index_t exponent;
    double max_mantissa;  // exp(max / T) = max_mantissa 2^exponent, to double precision
};

template <class T>
SORGUM_HD Reference<T> make_reference(const ExpScale<T>& s, T max) {
    constexpr int zero = Format<T>::exponent_bias + kHeadroom<T>;  // the exponent below the maximum where w is 0
    Reference<T> r;
    const double finite = max - max == T(0) ? static_cast<double>(max) : 0.0;  // an infinite one is handled elsewhere
    const double m = finite * s.down;
    const double cm = s.c1 * m;
    const double size = cm < 0 ? -cm : cm;
    r.shifted = !(size <= kUnshiftedLimit);
    r.far = is_far(s, static_cast<T>(finite));
    double n = 0.0, t = 0.0;
    r.exponent = 0;
    if (!r.far) {
        // c m = n + t, first the leading product, then what it leaves.
        const double e1 = fma(s.c1, m, -cm), p2 = s.c2 * m;
        n = size < 0x1p51 ? round_to_integer(cm) : static_cast<double>(static_cast<index_t>(cm));
        const double rest = e1 + p2;
        const double lost = (e1 - rest) + p2;  // |e1| and |p2| are of one size; first-order is ample
        double f = cm - n;
        const double n2 = r.shifted ? round_to_integer(f + rest) : 0.0;  // 0 too where |c m| is moderate
        f = (f - n2) + rest;
        t = f + (lost + fma(s.c2, m, -p2) + s.c3 * m);
        r.exponent = static_cast<index_t>(n) + static_cast<index_t>(n2);
    }
    r.max_mantissa = exp2_poly(t);
    const double reference = r.shifted ? 0.0 : n;
    r.map.bias = r.shifted ? static_cast<T>(finite) : T(0);
    r.map.fraction = r.shifted ? static_cast<T>(t) : T(0);
    r.map.lowest = static_cast<T>((reference - zero - (r.shifted ? t : 0.0)) * s.inv_c);
    r.map.magic = static_cast<T>(static_cast<double>(kStepMagic<T>) + (zero - reference));
    return r;
}

// The reference of the three-pass algorithms: x - max is formed for every element, whatever it rounds away.
template <class T>
SORGUM_HD Reference<T> make_max_reference(const ExpScale<T>& s, T max) {
    constexpr int zero = Format<T>::exponent_bias + kHeadroom<T>;
    Reference<T> r;
    r.shifted = true;
    r.far = false;
    r.exponent = 0;
    r.max_mantissa = 1.0;
    r.map.bias = max;
    r.map.fraction = T(0);
    r.map.lowest = static_cast<T>(-zero * s.inv_c);
    r.map.magic = static_cast<T>(static_cast<double>(kStepMagic<T>) + zero);
    return r;
}

// c u + fraction as v + t, v in steps (kStepMagic) and with the exponent that w has.
template <class L>
struct Reduced {
    L v, t;
};
template <bool shifted, class L>
SORGUM_HD Reduced<L> reduce(const ExpMap<L>& map, L magic, L c_hi, L c_lo, L u) {
    if constexpr (shifted) {
        const L v = fma(u, c_hi, map.fraction) + magic;
        const L t = fma(u, c_hi, magic - v) + map.fraction;
        return {v, fma(u, c_lo, t)};
    } else {
        const L v = fma(u, c_hi, magic);
        const L t = fma(u, c_hi, magic - v);
        return {v, fma(u, c_lo, t)};
    }
}

// w(x). NaN and +inf give NaN; -inf gives 0.
template <bool shifted, class L>
SORGUM_HD L extexp(const ExpMap<L>& map, L prescale, L c_hi, L c_lo, L x) {
    const L u = max(map.lowest, shifted ? (x - map.bias) * prescale : x);
    const Reduced<L> r = reduce<shifted>(map, map.magic, c_hi, c_lo, u);
    return exp2_of_steps(r.v, r.t);
}

// The same without a shift, of x that is not below map.lowest.
template <class L>
SORGUM_HD L extexp_above(const ExpMap<L>& map, L c_hi, L c_lo, L x) {
    const Reduced<L> r = reduce<false>(map, map.magic, c_hi, c_lo, x);
    return exp2_of_steps(r.v, r.t);
}

// The same as w(x) of float32, within 0.61 x 2^-23 of itself.
template <bool shifted, class L>
SORGUM_HD L precise_extexp(const ExpMap<L>& map, L prescale, L c_hi, L c_lo, L x) {
    const L u = max(map.lowest, shifted ? (x - map.bias) * prescale : x);
    const Reduced<L> r = reduce<shifted>(map, map.magic, c_hi, c_lo, u);
    return precise_exp2_of_steps(r.v, r.t);
}

// What a row's sums mean, from the number of maxima, the others (in units of 2^exponent) and the maximum's mantissa.
template <class D>
struct RowTotal {
    D sum, low;  // an unevaluated sum
};
template <class D>
SORGUM_HD RowTotal<D> row_sum(D count, D others, D max_mantissa) {
    const D maxima = count * max_mantissa;
    const D lost = fma(count, max_mantissa, splat<D>(0.0) - maxima);
    const D sum = maxima + others;
    const D added = sum - maxima;
    return {sum, ((maxima - (sum - added)) + (others - added)) + lost};
}
template <class D>
SORGUM_HD D row_excess(D count, D others, D max_mantissa) {
    return (count - splat<D>(1.0)) + others / max_mantissa;
}

// max / T + log(sum / exp(max / T))
template <class D, class T>
SORGUM_HD D log_sum_exp(D max_x, D log_excess, const ExpScale<T>& s) {
    const D m = max_x * splat<D>(s.down), near = min(splat<D>(s.farthest), max(splat<D>(-s.farthest), m));
    return fma(m, splat<D>(s.inv_temperature), fma(near, splat<D>(s.inv_temperature_low), log_excess));
}

// ---- a row put together from chunks, in any order ----

template <class T>
SORGUM_HD void row_sum_clear(RowSum<T>& r) {
    r.max = -from_bits(Format<T>::infinity);
    r.has_nan = r.has_inf = r.has_minus_inf = false;
    r.count = 0;
    exact_sum_clear(r.others);
}

// Takes account of `count` elements equal to `max`, the largest of their part of the row.
template <class T>
SORGUM_HD void row_sum_add_max(RowSum<T>& r, const ExpScale<T>& s, T max, index_t count) {
    if (count == 0)
        return;
    if (max == r.max) {
        r.count += count;
        return;
    }
    const bool higher = max > r.max;
    const T loser = higher ? r.max : max;
    const index_t losers = higher ? r.count : count;
    if (higher) {
        r.max = max;
        r.count = count;
    }
    if (losers == 0)
        return;
    if (is_far(s, r.max)) {
        exact_sum_clear(r.others);
    } else if (!is_far(s, loser)) {
        const Reference<T> low = make_reference(s, loser);
        exact_sum_add(r.others, low.max_mantissa, low.exponent, losers);
    }
}

template <class T>
SORGUM_HD void row_sum_add_chunk(RowSum<T>& r, const ExpScale<T>& s, const Reference<T>& ref, T max, index_t count,
                                 double others) {
    r.has_nan = r.has_nan || others != others;
    r.has_inf = r.has_inf || max == from_bits(Format<T>::infinity);
    if (r.has_nan || r.has_inf || max - max != T(0))
        return;
    row_sum_add_max(r, s, max + T(0), count);  // +0: one sign of zero
    if (!is_far(s, r.max) && !ref.far)
        exact_sum_add(r.others, others, ref.exponent - kHeadroom<T>, 1);
}

template <class T>
SORGUM_HD void row_sum_merge(RowSum<T>& into, const ExpScale<T>& s, const RowSum<T>& from) {
    into.has_nan = into.has_nan || from.has_nan;
    into.has_inf = into.has_inf || from.has_inf;
    into.has_minus_inf = into.has_minus_inf || from.has_minus_inf;
    const bool far = is_far(s, from.max) || is_far(s, into.max);  // then only the largest elements matter
    if (from.max > into.max && far)
        exact_sum_clear(into.others);
    if (!(from.max < into.max && far))
        exact_sum_merge(into.others, from.others);
    if (into.count == 0 && from.count == 0)  // weighted, or empty
        into.max = from.max > into.max ? from.max : into.max;
    else
        row_sum_add_max(into, s, from.max, from.count);
}

// What the sums of a row mean, `others` being in units of 2^exponent of the reference.
template <class T>
SORGUM_HD RowResult<T> result_of_sums(const ExpScale<T>& s, const Reference<T>& ref, T max, bool has_nan, bool has_inf,
                                      index_t maxima, double others) {
    RowResult<T> out;
    out.max = max;
    out.has_nan = has_nan;
    out.has_inf = has_inf;
    const double count = static_cast<double>(maxima);
    const RowTotal<double> total = row_sum(count, others, ref.max_mantissa);
    out.sum = total.sum;
    out.sum_low = total.low;
    out.max_mantissa = ref.max_mantissa;
    out.count = count;
    out.excess = row_excess(count, others, ref.max_mantissa);
    out.log_excess = log1p_positive(out.excess);
    out.log_sum_exp = log_sum_exp(static_cast<double>(max), out.log_excess, s);
    if (maxima == 0)
        out.log_sum_exp = -from_bits(Format<double>::infinity);
    if (has_inf)
        out.log_sum_exp = from_bits(Format<double>::infinity);
    if (has_nan)
        out.log_sum_exp = from_bits(Format<double>::quiet_nan);
    return out;
}

template <class T>
SORGUM_HD RowResult<T> row_result(const RowSum<T>& r, const ExpScale<T>& s, bool subtract_max) {
    const Reference<T> ref = subtract_max ? make_max_reference(s, r.max) : make_reference(s, r.max);
    index_t e;
    const double mantissa = exact_sum_finish(r.others, e);
    const double others = mantissa == 0.0 ? 0.0 : scale_by_power_f64(mantissa, exponent_above(e, ref.exponent));
    RowResult<T> out = result_of_sums(s, ref, r.max, r.has_nan, r.has_inf, r.count, others);
    out.subtract_max = subtract_max;
    return out;
}

// Of a row that is one chunk: what row_sum_add_chunk and row_result make of it, without the exact sum.
template <class T>
SORGUM_HD RowResult<T> chunk_result(const ExpScale<T>& s, const Reference<T>& ref, T max, index_t maxima,
                                    double others) {
    const bool finite = max - max == T(0);
    RowResult<T> out = result_of_sums(s, ref, finite ? max : -from_bits(Format<T>::infinity), others != others,
                                      max == from_bits(Format<T>::infinity), finite ? maxima : 0,
                                      ref.far || !finite ? 0.0 : others * power_of_two_f64(-kHeadroom<T>));
    out.subtract_max = false;
    return out;
}

// log |sum| and the sum's sign, of a row whose terms all stand in `others`.
template <class T>
SORGUM_HD void weighted_result(const RowSum<T>& r, const ExpScale<T>& s, double& log_abs, double& sign) {
    const double inf = from_bits(Format<double>::infinity);
    sign = log_abs = from_bits(Format<double>::quiet_nan);
    if (r.has_nan || (r.has_inf && r.has_minus_inf))
        return;
    sign = r.has_inf ? 1.0 : r.has_minus_inf ? -1.0 : 0.0;
    log_abs = sign != 0.0 ? inf : -inf;
    if (sign != 0.0)
        return;
    const Reference<T> ref = make_reference(s, r.max);
    index_t e;
    double sum = exact_sum_finish(r.others, e);
    if (sum == 0.0)
        return;
    sign = sum < 0 ? -1.0 : 1.0;
    // In units of exp(max / T) the sum may be no normal number: weights have any size.
    const index_t above = exponent_above(e, ref.exponent), apart = above > 900 || above < -1000 ? above : 0;
    sum = scale_by_power_f64(sum < 0 ? -sum : sum, above - apart);
    using C = LogConstants<double>;
    const double power = static_cast<double>(apart), log_mantissa = log(sum / ref.max_mantissa);
    log_abs = log_sum_exp(static_cast<double>(r.max), fma(power, C::ln2_hi, fma(power, C::ln2_lo, log_mantissa)), s);
}

SORGUM_ISA_END
