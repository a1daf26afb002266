// log(x), and log1p(z) for z >= 0.
//
// Method: x = 2^e m with m in [sqrt(1/2), sqrt(2)) by integer arithmetic on the encoding, f = m - 1 (exact), then
// log(1 + f) and e ln2 in two parts. float32: f + f^2 q(f), q of minimal error. float64: with s = f / (2 + f),
// log(1 + f) = 2 atanh(s) = f - f^2 / 2 + s (f^2 / 2 + R(s^2)), as in FreeBSD's e_log.c; the division is cheaper than
// the polynomial of degree 22 that does without it.
#pragma once

#include "math/exp.h"

SORGUM_ISA_BEGIN

template <class T>
struct LogConstants;

template <>
struct LogConstants<float> {
    static constexpr std::int32_t sqrt_half = 0x3F3504F3, one = 0x3F800000, mantissa = 0x7FFFFF;
    static constexpr float to_normal = 0x1p23f;  // makes a subnormal normal
    static constexpr int to_normal_exponent = 23;
    static constexpr float ln2_hi = 0x1.62e430p-1f, ln2_lo = -0x1.05c610p-29f;
    static constexpr float poly[9] = {-0x1.fffff8p-2f, 0x1.55554ep-2f,  -0x1.0003d4p-2f,
                                      0x1.99a366p-3f,  -0x1.543a46p-3f, 0x1.228a20p-3f,
                                      -0x1.0eb8fep-3f, 0x1.079028p-3f,  -0x1.38c0cep-4f};
    static constexpr float reflected[9] = {poly[0],  -poly[1], poly[2],  -poly[3], poly[4],
                                           -poly[5], poly[6],  -poly[7], poly[8]};  // of -f
};

template <>
struct LogConstants<double> {
    static constexpr std::int64_t sqrt_half = 0x3FE6A09E667F3BCD, one = 0x3FF0000000000000, mantissa = 0xFFFFFFFFFFFFF;
    static constexpr double to_normal = 0x1p54;
    static constexpr int to_normal_exponent = 54;
    static constexpr double ln2_hi = 0x1.62e42fefa39efp-1, ln2_lo = 0x1.abc9e3b39803fp-56;
    static constexpr double poly[7] = {0x1.55555555555a6p-1, 0x1.999999997bb1cp-2, 0x1.249249448c9edp-2,
                                       0x1.c71c5071f5222p-3, 0x1.7466808a3e600p-3, 0x1.399c5722cabf0p-3,
                                       0x1.2f3308d33e5aap-3};
};

// x = 2^e (1 + f).
template <class L>
struct Split {
    L e, f;
};

// An encoding in which the exponent is e, of a normal x > 0, and its 1 + f.
template <class L>
SORGUM_HD integer_t<L> encoding_by_e(L x) {
    using C = LogConstants<element_t<L>>;
    return int_add(bits(x), splat_integer<integer_t<L>>(C::one - C::sqrt_half));
}
template <class L>
SORGUM_HD L one_plus_f(integer_t<L> j) {
    using I = integer_t<L>;
    using C = LogConstants<element_t<L>>;
    return from_bits(int_add(int_and(j, splat_integer<I>(C::mantissa)), splat_integer<I>(C::sqrt_half)));
}

// Of a normal x > 0; `bias` is added to its exponent's own.
template <class L>
SORGUM_HD Split<L> split_normal(L x, L bias) {
    using T = element_t<L>;
    const integer_t<L> j = encoding_by_e(x);
    const L e = integer_to_float<L>(shift_right<Format<T>::mantissa_bits>(j)) - bias;
    return {e, one_plus_f<L>(j) - splat<L>(T(1))};
}
template <class L>
SORGUM_HD Split<L> split_normal(L x) {
    return split_normal(x, splat<L>(element_t<L>(Format<element_t<L>>::exponent_bias)));
}
// x = 2^e (1 - f) instead, of a normal x below a quarter of the largest numbers.
template <class L>
SORGUM_HD Split<L> split_reflected(L x) {
    const integer_t<L> j = encoding_by_e(x);
    return {exponent_of(from_bits(j)), splat<L>(element_t<L>(1)) - one_plus_f<L>(j)};
}

template <class L>
SORGUM_HD L log_of_split(Split<L> x) {
    using T = element_t<L>;
    using C = LogConstants<T>;
    const L e = x.e, f = x.f;
    L y;
    if constexpr (sizeof(T) == 4) {
        const L q = horner<C::poly>(f);
        y = f + fma(q, f * f, e * splat<L>(C::ln2_lo));
    } else {
        const L s = f / (splat<L>(T(2)) + f);
        const L z = s * s;
        const L h = (splat<L>(T(0.5)) * f) * f;
        y = f - (h - fma(s, fma(horner<C::poly>(z), z, h), e * splat<L>(C::ln2_lo)));
    }
    return fma(e, splat<L>(C::ln2_hi), y);
}

// -log(x) of x = 2^e (1 - f): the steps above with every sign turned, so the same bits but for the sign.
template <class L>
SORGUM_HD L minus_log_of_reflected(Split<L> x) {
    using T = element_t<L>;
    using C = LogConstants<T>;
    const L e = x.e, f = x.f;
    L y;
    if constexpr (sizeof(T) == 4) {
        const L q = horner<C::reflected>(f);
        y = f - fma(q, f * f, e * splat<L>(C::ln2_lo));
    } else {
        const L s = f / (splat<L>(T(2)) - f);
        const L z = s * s;
        const L h = (splat<L>(T(0.5)) * f) * f;
        y = f + (h + fma(s, fma(horner<C::poly>(z), z, h), e * splat<L>(-C::ln2_lo)));
    }
    return fma(e, splat<L>(-C::ln2_hi), y);
}

// Of a normal x > 0.
template <class L>
SORGUM_HD L log_of_normal(L x) {
    return log_of_split(split_normal(x));
}

template <class L>
SORGUM_HD L log(L x) {
    using T = element_t<L>;
    using C = LogConstants<T>;
    using F = Format<T>;
    const auto subnormal = lt(x, splat<L>(F::smallest_normal));
    const L scaled = select(subnormal, x * splat<L>(C::to_normal), x);
    const L bias =
        select(subnormal, splat<L>(T(F::exponent_bias + C::to_normal_exponent)), splat<L>(T(F::exponent_bias)));
    L y = log_of_split(split_normal(scaled, bias));
    const L zero = splat<L>(T(0));
    y = select(lt(x, infinity<L>()), y, x);  // +inf and NaN
    y = select(lt(zero, x), y, select(eq(x, zero), zero - infinity<L>(), canonical_nan<L>()));
    return y;
}

// log(1 + z) for z >= 0: what the rounding of u = 1 + z lost is put back to first order.
template <class L>
SORGUM_HD L log1p_positive(L z) {
    using T = element_t<L>;
    const L one = splat<L>(T(1));
    const L u = one + z;
    const L lost = select(lt(z, one), z - (u - one), one - (u - z));
    return log(u) + lost / u;
}

SORGUM_ISA_END
