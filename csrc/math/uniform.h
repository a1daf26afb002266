// Words to numbers between 0 and 1, neither of which is reached, and to the distributions that are one logarithm or two
// away.
//
// A word w of `bits` bits stands for v = (w + 1/2) 2^-bits. Beside v goes its complement u = 1 - v, formed from the
// complement of the word, so that neither end of the interval loses its digits: v of 32 bits comes down to 2^-33, v of
// 64 bits to 2^-65, and so does u.
#pragma once

#include "math/log.h"

SORGUM_ISA_BEGIN

// Floats round twice, the word to 24 bits and the sum; words below 2^24 are exact. Doubles are exact.
template <class L, class I>
SORGUM_HD L open_from_word(I word) {
    if constexpr (sizeof(element_t<L>) == 4) {
        return fma(unsigned_to_float(word), splat<L>(0x1p-32f), splat<L>(0x1p-33f));
    } else {  // a word of 32 bits in a lane of 64: exact
        const L magic = splat<L>(0x1p52);
        return fma(from_bits(int_add(word, bits(magic))) - magic, splat<L>(0x1p-32), splat<L>(0x1p-33));
    }
}

// `word` has 64 bits. The halves are exact, their sum is rounded once.
template <class L, class I>
SORGUM_HD L open_from_wide_word(I word) {
    const L magic = splat<L>(0x1p52);
    const L high = from_bits(int_add(shift_right<32>(word), bits(magic))) - magic;
    const L low = from_bits(int_add(int_and(word, splat_integer<I>(0xFFFFFFFF)), bits(magic))) - magic;
    return fma(high, splat<L>(0x1p-32), fma(low, splat<L>(0x1p-64), splat<L>(0x1p-65)));
}

// A number between 0 and 1 by its word: laws take of it what they need.
template <class L, bool wide>
struct OpenUnit {
    integer_t<L> word;

    SORGUM_HD L v() const { return of(word); }
    SORGUM_HD L u() const { return of(int_xor(word, splat_integer<integer_t<L>>(kAllBits))); }

private:
    static constexpr std::int64_t kAllBits = wide ? std::int64_t(-1) : std::int64_t(0xFFFFFFFF);

    static SORGUM_HD L of(integer_t<L> w) {
        if constexpr (wide)
            return open_from_wide_word<L>(w);
        else
            return open_from_word<L>(w);
    }
};
// `word` has 32 bits: in lanes of 32 for float, in lanes of 64 for double.
template <class L, class I>
SORGUM_HD OpenUnit<L, false> open_unit(I word) {
    return {word};
}
// `word` has 64 bits.
template <class L, class I>
SORGUM_HD OpenUnit<L, true> open_unit_wide(I word) {
    return {word};
}

// v as a number of type T below 1: the largest words would round to 1.
template <class T, class L, bool wide>
SORGUM_HD L uniform(OpenUnit<L, wide> p) {
    return min(p.v(), splat<L>(element_t<L>(sizeof(T) == 4 ? 1 - 0x1p-24 : 1 - 0x1p-53)));
}

// Of minimal error: -log(1 - x / 2) = x / 2 + x^2 p(x) for x in [0, 1], within 2^-25.3 of it; -log(1 + f) for f in
// [sqrt(1/2) - 1, sqrt(2) - 1], within 2^-24.7 as a number.
struct GumbelConstants {
    static constexpr float half_log[8] = {0x1.fffecp-4f,   0x1.55a384p-5f, 0x1.f313e6p-7f, 0x1.0df6cap-7f,
                                          -0x1.72285ep-9f, 0x1.354ff6p-7f, -0x1.a3993p-8f, 0x1.6a0f46p-9f};
    static constexpr float minus_log[9] = {-0x1.dcd8b4p-26f, -0x1.fffff8p-1f, 0x1.000134p-1f,
                                           -0x1.555ddap-2f,  0x1.ff0d50p-3f,  -0x1.96d156p-3f,
                                           0x1.63c236p-3f,   -0x1.518920p-3f, 0x1.9cdfa0p-4f};
    static constexpr float ln2 = 0x1.62e430p-1f;
};

// -log(1 - v) in float32. With the nearer end of the interval, t / 2 = min(v, u): where that is v, -log(1 - t / 2);
// where it is u = 2^(e - 1) m, m in [1, 2), -e log(2) - log(1 - (2 - m) / 2).
template <class L, class I>
SORGUM_HD L exponential_of_word(I word) {
    using C = GumbelConstants;
    using F = LogConstants<float>;
    const auto upper = negative(word);
    const L t = fma(to_float(int_xor(word, shift_right_signed<31>(word))), splat<L>(0x1p-31f), splat<L>(0x1p-32f));
    const L m = from_bits(int_xor(int_and(bits(t), splat_integer<I>(F::mantissa)), splat_integer<I>(F::one)));
    const L e = select(upper, exponent_of(t), splat<L>(0.0f));
    const L x = select(upper, splat<L>(2.0f) - m, t);
    const L minus_log = fma(x * x, horner<C::half_log>(x), splat<L>(0.5f) * x);
    return fma(e, splat<L>(-C::ln2), minus_log);
}

// -log(1 - v). In float64 that of u, whose fraction 1 - f is replaced by 1 - v where u is near 1.
template <class L, bool wide>
SORGUM_HD L exponential(OpenUnit<L, wide> p) {
    if constexpr (sizeof(element_t<L>) == 4) {
        return exponential_of_word<L>(p.word);
    } else {
        Split<L> s = split_reflected(p.u());
        s.f = select(eq(s.e, splat<L>(element_t<L>(0))), p.v(), s.f);
        return minus_log_of_reflected(s);
    }
}

// -log(x). Near 1 float32 has the result as a number: its last digits are lost.
template <class L>
SORGUM_HD L gumbel_of_exponential(L x) {
    if constexpr (sizeof(element_t<L>) == 4) {
        using C = GumbelConstants;
        const integer_t<L> j = int_sub(bits(x), splat_integer<integer_t<L>>(LogConstants<float>::sqrt_half));
        const L e = to_float(shift_right_signed<23>(j));
        return fma(e, splat<L>(-C::ln2), horner<C::minus_log>(one_plus_f<L>(j) - splat<L>(1.0f)));
    } else {
        return minus_log_of_reflected(split_reflected(x));
    }
}

// -log(-log(1 - v)): the upper tail is where v is small and has all its digits.
template <class L, bool wide>
SORGUM_HD L gumbel(OpenUnit<L, wide> p) {
    return gumbel_of_exponential(exponential(p));
}

// v / (1 - v)
template <class L, bool wide>
SORGUM_HD L odds(OpenUnit<L, wide> p) {
    return p.v() / p.u();
}
template <class L, bool wide>
SORGUM_HD L logistic(OpenUnit<L, wide> p) {
    return log_of_normal(odds(p));
}

SORGUM_ISA_END
