// The operations of csrc/simd for a single float or double, on the host and on the device.
//
// Code in csrc/math is written once over "lanes" L: L = float or double here, L = f32x16 or f64x16 in a kernel. The
// contract of every operation is csrc/simd/README.md. __builtin_fma is the one libm name that is allowed: it is
// correctly rounded everywhere, in hardware or in software.
#pragma once

#include <cstdint>

#include "core/config.h"

SORGUM_ISA_BEGIN

template <class L>
struct lane_of;  // the element type and the integer lanes of L
template <>
struct lane_of<float> {
    using element = float;
    using integer = std::int32_t;
};
template <>
struct lane_of<double> {
    using element = double;
    using integer = std::int64_t;
};

template <class L>
using element_t = typename lane_of<L>::element;
template <class L>
using integer_t = typename lane_of<L>::integer;

template <class L>
SORGUM_HD L splat(element_t<L> x);
template <>
SORGUM_HD float splat<float>(float x) {
    return x;
}
template <>
SORGUM_HD double splat<double>(double x) {
    return x;
}

#if defined(__CUDA_ARCH__)
SORGUM_HD float fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }
SORGUM_HD double fma(double a, double b, double c) { return __fma_rn(a, b, c); }
#else
SORGUM_HD float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
SORGUM_HD double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
#endif

SORGUM_HD float max(float a, float b) { return a > b ? a : b; }
SORGUM_HD double max(double a, double b) { return a > b ? a : b; }
SORGUM_HD float min(float a, float b) { return a < b ? a : b; }
SORGUM_HD double min(double a, double b) { return a < b ? a : b; }

SORGUM_HD double widen(float a) { return static_cast<double>(a); }
SORGUM_HD float narrow(double a) { return static_cast<float>(a); }

SORGUM_HD bool lt(float a, float b) { return a < b; }
SORGUM_HD bool lt(double a, double b) { return a < b; }
SORGUM_HD bool eq(float a, float b) { return a == b; }
SORGUM_HD bool eq(double a, double b) { return a == b; }
SORGUM_HD bool is_nan(float a) { return a != a; }
SORGUM_HD bool is_nan(double a) { return a != a; }
SORGUM_HD bool any(bool m) { return m; }
SORGUM_HD bool all(bool m) { return m; }
SORGUM_HD bool both(bool a, bool b) { return a && b; }
SORGUM_HD bool either(bool a, bool b) { return a || b; }
template <class L>
SORGUM_HD L select(bool m, L a, L b) {
    return m ? a : b;
}

SORGUM_HD float zero_where(bool m, float a) { return m ? 0.0f : a; }
SORGUM_HD double zero_where(bool m, double a) { return m ? 0.0 : a; }

SORGUM_HD std::int32_t bits(float x) {
    std::int32_t i;
    __builtin_memcpy(&i, &x, sizeof i);
    return i;
}
SORGUM_HD std::int64_t bits(double x) {
    std::int64_t i;
    __builtin_memcpy(&i, &x, sizeof i);
    return i;
}
SORGUM_HD float from_bits(std::int32_t i) {
    float x;
    __builtin_memcpy(&x, &i, sizeof x);
    return x;
}
SORGUM_HD double from_bits(std::int64_t i) {
    double x;
    __builtin_memcpy(&x, &i, sizeof x);
    return x;
}

// Integer lanes wrap around, as the hardware's do.
SORGUM_HD std::int32_t int_add(std::int32_t a, std::int32_t b) {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b));
}
SORGUM_HD std::int64_t int_add(std::int64_t a, std::int64_t b) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}
SORGUM_HD std::int32_t int_sub(std::int32_t a, std::int32_t b) {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) - static_cast<std::uint32_t>(b));
}
SORGUM_HD std::int64_t int_sub(std::int64_t a, std::int64_t b) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}
SORGUM_HD std::int32_t int_and(std::int32_t a, std::int32_t b) { return a & b; }
SORGUM_HD std::int64_t int_and(std::int64_t a, std::int64_t b) { return a & b; }
SORGUM_HD std::int32_t int_xor(std::int32_t a, std::int32_t b) { return a ^ b; }
SORGUM_HD std::int64_t int_xor(std::int64_t a, std::int64_t b) { return a ^ b; }
SORGUM_HD float exponent_of(float a) { return static_cast<float>((bits(a) >> 23) - 127); }
SORGUM_HD double exponent_of(double a) { return static_cast<double>((bits(a) >> 52) - 1023); }
template <int k>
SORGUM_HD std::int32_t shift_left(std::int32_t a) {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) << k);
}
template <int k>
SORGUM_HD std::int64_t shift_left(std::int64_t a) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) << k);
}
template <int k>
SORGUM_HD std::int32_t shift_right(std::int32_t a) {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) >> k);
}
template <int k>
SORGUM_HD std::int64_t shift_right(std::int64_t a) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) >> k);
}
template <int k>
SORGUM_HD std::int32_t shift_right_signed(std::int32_t a) {
    return a >> k;
}
SORGUM_HD bool negative(std::int32_t a) { return a < 0; }
SORGUM_HD std::int64_t zero_extend(std::int32_t a) { return static_cast<std::int64_t>(static_cast<std::uint32_t>(a)); }
SORGUM_HD std::int32_t multiply_high(std::int32_t a, std::int32_t b) {
    const std::uint64_t product =
        static_cast<std::uint64_t>(zero_extend(a)) * static_cast<std::uint64_t>(zero_extend(b));
    return static_cast<std::int32_t>(product >> 32);
}
SORGUM_HD std::int32_t multiply_low(std::int32_t a, std::int32_t b) {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) * static_cast<std::uint32_t>(b));
}
SORGUM_HD float to_float(std::int32_t a) { return static_cast<float>(a); }
SORGUM_HD float unsigned_to_float(std::int32_t a) { return static_cast<float>(static_cast<std::uint32_t>(a)); }
// table[i mod 4] of four constants. They are an argument of the template: device code cannot refer to an array of the
// host.
template <const auto& table>
SORGUM_HD std::int32_t pick(std::int32_t i) {
    constexpr std::int32_t first = table[0], second = table[1], third = table[2], fourth = table[3];
    const std::int32_t lower = (i & 1) != 0 ? second : first, upper = (i & 1) != 0 ? fourth : third;
    return (i & 2) != 0 ? upper : lower;
}
template <class I>
SORGUM_HD I splat_integer(std::int64_t value);
template <>
SORGUM_HD std::int32_t splat_integer<std::int32_t>(std::int64_t value) {
    return static_cast<std::int32_t>(value);
}
template <>
SORGUM_HD std::int64_t splat_integer<std::int64_t>(std::int64_t value) {
    return value;
}

SORGUM_ISA_END
