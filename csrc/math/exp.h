// exp(x), and 2^t for the (mantissa, exponent) pairs of extexp.h.
//
// Method: x = n ln2 + r with n = rint(x log2 e) by the magic addend and r by two fused steps (Cody and Waite's
// reduction); a polynomial of minimal error in r, Horner; two exact multiplications by powers of two, so that
// results below the normal range are rounded once.
#pragma once

#include "math/format.h"

SORGUM_ISA_BEGIN

template <class T>
struct ExpConstants;

// Every polynomial: minimal relative error by linear programming with the first coefficients fixed, the others rounded
// one at a time with a new solution after each, then improved on the worst points of the measured error.
template <>
struct ExpConstants<float> {
    static constexpr float log2e = 0x1.715476p0f;
    static constexpr float ln2_hi = 0x1.62e430p-1f;
    static constexpr float ln2_lo = -0x1.05c610p-29f;
    // exp(r) on [-ln2 / 2, ln2 / 2]
    static constexpr float poly[7] = {1.0f,           1.0f,           0x1.fffffcp-2f, 0x1.555476p-3f,
                                      0x1.55597cp-5f, 0x1.124952p-7f, 0x1.697976p-10f};
    static constexpr float overflow = 0x1.62e42ep6f;                 // the largest x whose exp is finite
    static constexpr float underflow = -0x1.9fe368p6f;               // the least x whose exp is not rounded to 0
    static constexpr float normal_from = -87.0f, normal_to = 88.0f;  // between, exp and its power of two are normal
    // 2^t on [-1/2 - 2^-10, 1/2 + 2^-10]
    static constexpr float poly2[7] = {1.0f,           0x1.62e430p-1f,  0x1.ebfbe4p-3f, 0x1.c6af90p-5f,
                                       0x1.3b2d18p-7f, 0x1.5f09f2p-10f, 0x1.40b610p-13f};
    // (2^t - 1) / t on [-1/8 - 2^-12, 1/8 + 2^-12]
    static constexpr float quarter[4] = {0x1.62e42cp-1f, 0x1.ebfbd6p-3f, 0x1.c6eb36p-5f, 0x1.3b810cp-7f};
    // 2^(k / 4) as encodings, less those of 1 and of a mantissa of k / 4
    static constexpr std::int32_t quarters[4] = {0, 0x3F9837F0 - 0x3FA00000, 0x3FB504F3 - 0x3FC00000,
                                                 0x3FD744FD - 0x3FE00000};
    // what they are less than 2^(k / 4), relative, as encodings
    static constexpr std::int32_t quarter_rests[4] = {0, 0x33092801, 0x329302AE, -0x4D831E7E};
};

template <>
struct ExpConstants<double> {
    static constexpr double log2e = 0x1.71547652b82fep0;
    static constexpr double ln2_hi = 0x1.62e42fefa39efp-1;
    static constexpr double ln2_lo = 0x1.abc9e3b39803fp-56;
    static constexpr double poly[12] = {1.0,
                                        1.0,
                                        0x1.0000000000007p-1,
                                        0x1.55555555554d3p-3,
                                        0x1.555555555130fp-5,
                                        0x1.11111111307a7p-7,
                                        0x1.6c16c1825a52fp-10,
                                        0x1.a01a00fec9cf7p-13,
                                        0x1.a0199e1cf805ep-16,
                                        0x1.71df80412c42fp-19,
                                        0x1.28aa3b403a87ap-22,
                                        0x1.acf766f80b4a8p-26};
    static constexpr double overflow = 0x1.62e42fefa39efp9;
    static constexpr double underflow = -0x1.74910d52d3051p9;
    static constexpr double normal_from = -708.0, normal_to = 709.0;
    static constexpr double poly2[12] = {1.0,
                                         0x1.62e42fefa39f0p-1,
                                         0x1.ebfbdff82c59dp-3,
                                         0x1.c6b08d7049d95p-5,
                                         0x1.3b2ab6fba1068p-7,
                                         0x1.5d87fe7922ddcp-10,
                                         0x1.4309130c29c46p-13,
                                         0x1.ffcbfa5870826p-17,
                                         0x1.62bfcdb16c3afp-20,
                                         0x1.b528d37891e79p-24,
                                         0x1.e611b94bf61f5p-28,
                                         0x1.e487a0df9c9f6p-32};
};

// The polynomial with the coefficients c, constant first. They are an argument of the template, so that each is a
// constant where it is used: device code cannot refer to an array of the host.
template <const auto& c, int i = 0, class L>
SORGUM_HD L horner(L x) {
    constexpr element_t<L> coefficient = c[i];
    if constexpr (i + 1 == sizeof c / sizeof c[0])
        return splat<L>(coefficient);
    else
        return fma(horner<c, i + 1>(x), x, splat<L>(coefficient));
}

template <class L>
SORGUM_HD L exp2_poly(L t) {
    using C = ExpConstants<element_t<L>>;
    return horner<C::poly2>(t);
}

// 2^(n + t) for lanes v that hold the addend that rounded to steps of 1 / kSteps, the format's bias and n: the sum of
// an integer's encoding and a quarter's, times a polynomial in what is left. It is shorter than one for |t| <= 1/2, and
// s times its first addend, 1, is not rounded. Where the exponent's field would be 0, the results fall from 2^-127 to
// +0.
template <class T>
inline constexpr int kSteps = sizeof(T) == 4 ? 4 : 1;
template <class T>
inline constexpr T kStepMagic = Format<T>::round_magic / kSteps<T>;

template <class L>
SORGUM_HD L power_of_steps(integer_t<L> i) {  // of float32
    using C = ExpConstants<float>;
    return from_bits(int_add(shift_left<Format<float>::mantissa_bits - 2>(i), pick<C::quarters>(i)));
}

template <class L>
SORGUM_HD L exp2_of_steps(L v, L t) {
    if constexpr (kSteps<element_t<L>> == 1) {
        return exp2_poly(t) * power_of_two(v);
    } else {
        const L s = power_of_steps<L>(bits(v));
        return fma(s * t, horner<ExpConstants<float>::quarter>(t), s);
    }
}

// The same of float32, with what rounding the quarter's power lost: little but the last rounding is left.
template <class L>
SORGUM_HD L precise_exp2_of_steps(L v, L t) {
    using C = ExpConstants<float>;
    const integer_t<L> i = bits(v);
    const L s = power_of_steps<L>(i);
    return fma(s, fma(t, horner<C::quarter>(t), from_bits(pick<C::quarter_rests>(i))), s);
}

template <class L>
SORGUM_HD L exp(L x) {
    using T = element_t<L>;
    using C = ExpConstants<T>;
    using F = Format<T>;
    // Outside these bounds the result is 0 or infinite; within them n stays small. max and min return their second
    // operand when the first is NaN or the two are unordered: with x second, a NaN goes through.
    const L u = min(splat<L>(C::overflow + 1), max(splat<L>(C::underflow - 1), x));
    const L magic = splat<L>(F::round_magic);
    const L v = fma(u, splat<L>(C::log2e), magic);
    const L n = v - magic;
    L r = fma(n, splat<L>(-C::ln2_hi), u);
    r = fma(n, splat<L>(-C::ln2_lo), r);
    const L p = horner<C::poly>(r);
    // 2^n = 2^h 2^(n - h): both factors are normal, p 2^h is exact, the last product rounds once.
    const L h = fma(n, splat<L>(T(0.5)), magic);
    const L biased_h = h + splat<L>(T(F::exponent_bias));
    const L biased_rest = (v - (h - magic)) + splat<L>(T(F::exponent_bias));
    const L y = (p * power_of_two(biased_h)) * power_of_two(biased_rest);
    return canonicalise_nan(y);
}

// exp of x from normal_from to normal_to, the same bits: one factor does what otherwise takes two.
template <class L>
SORGUM_HD L exp_normal(L x) {
    using T = element_t<L>;
    using C = ExpConstants<T>;
    using F = Format<T>;
    const L magic = splat<L>(F::round_magic);
    const L v = fma(x, splat<L>(C::log2e), magic);
    const L n = v - magic;
    L r = fma(n, splat<L>(-C::ln2_hi), x);
    r = fma(n, splat<L>(-C::ln2_lo), r);
    return horner<C::poly>(r) * power_of_two(v + splat<L>(T(F::exponent_bias)));
}

template <class L>
SORGUM_HD auto has_normal_exp(L x) {
    using C = ExpConstants<element_t<L>>;
    return eq(min(splat<L>(C::normal_to), max(splat<L>(C::normal_from), x)), x);
}

SORGUM_ISA_END
