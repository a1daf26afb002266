// The arithmetic of the Gumbel-max draw: which elements may win, and x + T G as an exact sum
// (kernels/random/gumbel_max.h says what for). One text for the vectors of the CPU and the threads of a device.
#pragma once

#include "math/random_state.h"
#include "math/stream.h"
#include "math/uniform.h"

SORGUM_ISA_BEGIN

SORGUM_HD double minus_infinity() { return -from_bits(Format<double>::infinity); }

// A logit that makes the draw of its row impossible, whatever follows.
SORGUM_HD bool spoilt(const Draw& best) { return best.value != best.value; }

// Enters x + noise for one element, as the exact sum of two float64 (Knuth's two-sum).
SORGUM_HD void enter(double x, double noise, index_t index, Draw& best) {
    if (x == minus_infinity() || spoilt(best))
        return;
    if (x - x != 0.0) {
        best = {from_bits(Format<double>::quiet_nan), 0.0, -1};
        return;
    }
    const double value = x + noise, added = value - x;
    const double low = (x - (value - added)) + (noise - added);
    const Draw one = {value, low, index};
    if (precedes(one, best))
        best = one;
}

// Which elements cannot win against a sum x + T G that is known, `best`. With B(w) the encoding of the float w / 2,
// log2 v >= B 2^-23 - 158; rejected are elements with B > 2^23 (c (x - best) + 158 + margin), c = log2(e) / T.
template <class L>
struct Screen {
    L slope, offset;
};

// c. Beyond 2^60 it may be smaller than it should be: more elements pass, which costs time and changes no draw.
SORGUM_HD double screen_slope(double temperature) {
    constexpr double log2e = 0x1.71547652b82fep0;
    return temperature > log2e * 0x1p-60 ? log2e / temperature : 0x1p60;
}

template <class L>
SORGUM_HD Screen<L> make_screen(double temperature, double best) {
    using T = element_t<L>;
    constexpr double unit = 0x1p23, lowest = 158.0;
    const double c = screen_slope(temperature);
    const double level = c * best, size = level < 0 ? -level : level;
    // Roundings of slope, offset and their sum: below 2^-22 of the level; of B: below 2^-16.
    const double margin = 0x1p-13 + size * 0x1p-21;
    const bool known = size < 0x1p80;  // not for -inf and NaN
    return {splat<L>(known ? static_cast<T>(c * unit) : T(0)),
            splat<L>(static_cast<T>(known ? (lowest + margin - level) * unit : -minus_infinity()))};
}

// B of words in lanes of 32 bits.
template <class I>
SORGUM_HD auto screen_encoding(I w) {
    return to_float(bits(to_float(shift_right<1>(w))));
}

// NaN is not rejected: it is dealt with where elements that pass are computed.
template <class L, class I>
SORGUM_HD auto rejects(const Screen<L>& screen, L x, I w) {
    const auto encoding = screen_encoding(w);
    if constexpr (sizeof(element_t<L>) == 4)
        return lt(fma(x, screen.slope, screen.offset), encoding);
    else
        return lt(fma(x, screen.slope, screen.offset), widen(encoding));
}

SORGUM_ISA_END
