// What the algorithms need to know of a binary floating-point format.
#pragma once

#include "math/lane.h"

SORGUM_ISA_BEGIN

template <class T>
struct Format;

template <>
struct Format<float> {
    static constexpr int mantissa_bits = 23;
    static constexpr int exponent_bias = 127;
    static constexpr float round_magic = 0x1.8p23f;  // x + round_magic rounds |x| < 2^22 to an integer
    static constexpr float largest = 0x1.fffffep127f;
    static constexpr float smallest_normal = 0x1p-126f;
    static constexpr std::int32_t quiet_nan = 0x7FC00000;
    static constexpr std::int32_t infinity = 0x7F800000;
};

template <>
struct Format<double> {
    static constexpr int mantissa_bits = 52;
    static constexpr int exponent_bias = 1023;
    static constexpr double round_magic = 0x1.8p52;
    static constexpr double largest = 0x1.fffffffffffffp1023;
    static constexpr double smallest_normal = 0x1p-1022;
    static constexpr std::int64_t quiet_nan = 0x7FF8000000000000;
    static constexpr std::int64_t infinity = 0x7FF0000000000000;
};

template <class L>
using format_t = Format<element_t<L>>;

// The NaN of every output (N10).
template <class L>
SORGUM_HD L canonical_nan() {
    return splat<L>(from_bits(format_t<L>::quiet_nan));
}
template <class L>
SORGUM_HD L infinity() {
    return splat<L>(from_bits(format_t<L>::infinity));
}
template <class L>
SORGUM_HD L canonicalise_nan(L x) {
    return select(is_nan(x), canonical_nan<L>(), x);
}

// 2^n for lanes that hold `round_magic + exponent_bias + n`, exact for normal powers; see exp.h.
template <class L>
SORGUM_HD L power_of_two(L biased) {
    return from_bits(shift_left<format_t<L>::mantissa_bits>(bits(biased)));
}

// The nearest integer, ties to even, of |x| < 2^22 (float) or 2^51 (double).
template <class L>
SORGUM_HD L round_to_integer(L x) {
    const L magic = splat<L>(format_t<L>::round_magic);
    return (x + magic) - magic;
}

// |a| < 2^22 (int32 to float) or 2^51 (int64 to double), exact.
template <class L>
SORGUM_HD L integer_to_float(integer_t<L> a) {
    const L magic = splat<L>(format_t<L>::round_magic);
    return from_bits(int_add(a, bits(magic))) - magic;
}

SORGUM_ISA_END
