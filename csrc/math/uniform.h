// Words to numbers between 0 and 1, neither of which is reached, and to the distributions that are one logarithm or two
// away.
//
// A word w of `bits` bits stands for v = (w + 1/2) 2^-bits. Beside v goes its complement u = 1 - v, formed from the
// complement of the word, so that neither end of the interval loses its digits: v of 32 bits comes down to 2^-33, v of
// 64 bits to 2^-65, and so does u.
#pragma once

#include "math/log.h"

SORGUM_ISA_BEGIN

template <class L>
struct OpenUnit {
    L v, u;
};

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

// `word` has 32 bits: in lanes of 32 for float, in lanes of 64 for double.
template <class L, class I>
SORGUM_HD OpenUnit<L> open_unit(I word) {
    return {open_from_word<L>(word), open_from_word<L>(int_xor(word, splat_integer<I>(0xFFFFFFFF)))};
}

// `word` has 64 bits. The halves are exact, their sum is rounded once.
template <class L, class I>
SORGUM_HD L open_from_wide_word(I word) {
    const L magic = splat<L>(0x1p52);
    const L high = from_bits(int_add(shift_right<32>(word), bits(magic))) - magic;
    const L low = from_bits(int_add(int_and(word, splat_integer<I>(0xFFFFFFFF)), bits(magic))) - magic;
    return fma(high, splat<L>(0x1p-32), fma(low, splat<L>(0x1p-64), splat<L>(0x1p-65)));
}
template <class L, class I>
SORGUM_HD OpenUnit<L> open_unit_wide(I word) {
    return {open_from_wide_word<L>(word), open_from_wide_word<L>(int_xor(word, splat_integer<I>(-1)))};
}

// v as a number of type T below 1: the largest words would round to 1.
template <class T, class L>
SORGUM_HD L uniform(OpenUnit<L> p) {
    return min(p.v, splat<L>(element_t<L>(sizeof(T) == 4 ? 1 - 0x1p-24 : 1 - 0x1p-53)));
}

// -log(1 - v): that of u, whose fraction 1 - f is replaced by 1 - v where u is near 1.
template <class L>
SORGUM_HD L exponential(OpenUnit<L> p) {
    Split<L> s = split_reflected(p.u);
    s.f = select(eq(s.e, splat<L>(element_t<L>(0))), p.v, s.f);
    return minus_log_of_reflected(s);
}

// -log(-log(1 - v)): the upper tail is where v is small and has all its digits.
template <class L>
SORGUM_HD L gumbel(OpenUnit<L> p) {
    return minus_log_of_reflected(split_reflected(exponential(p)));
}

// log(v / (1 - v))
template <class L>
SORGUM_HD L logistic(OpenUnit<L> p) {
    return log_of_normal(p.v / p.u);
}

SORGUM_ISA_END
