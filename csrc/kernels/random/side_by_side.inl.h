// Eight vectors as one, for the formulas of csrc/math: each operation is done for all of them before the next. In a
// logarithm every operation waits for the one before; eight logarithms side by side keep the processor busy meanwhile.
#pragma once

#include "simd/simd.h"

SORGUM_ISA_BEGIN

inline constexpr int kSide = 8;

struct i32x128 {
    i32x16 v[kSide];
};
struct f32x128 {
    f32x16 v[kSide];
};
struct mask128 {
    decltype(eq(f32x16(), f32x16())) v[kSide];
};
template <>
struct lane_of<f32x128> {
    using element = float;
    using integer = i32x128;
};

template <class R, class F>
SORGUM_INLINE R side_by_side(F&& f) {
    R r;
#pragma GCC unroll 8
    for (int k = 0; k < kSide; ++k)
        r.v[k] = f(k);
    return r;
}

#define SORGUM_SIDE_BY_SIDE(R, operation) \
    side_by_side<R>([&]([[maybe_unused]] int k) SORGUM_LAMBDA { return operation; })

template <>
SORGUM_INLINE f32x128 splat<f32x128>(float x) {
    return SORGUM_SIDE_BY_SIDE(f32x128, splat<f32x16>(x));
}
template <>
SORGUM_INLINE i32x128 splat_integer<i32x128>(std::int64_t x) {
    return SORGUM_SIDE_BY_SIDE(i32x128, splat_integer<i32x16>(x));
}
SORGUM_INLINE f32x128 operator+(f32x128 a, f32x128 b) { return SORGUM_SIDE_BY_SIDE(f32x128, a.v[k] + b.v[k]); }
SORGUM_INLINE f32x128 operator-(f32x128 a, f32x128 b) { return SORGUM_SIDE_BY_SIDE(f32x128, a.v[k] - b.v[k]); }
SORGUM_INLINE f32x128 operator*(f32x128 a, f32x128 b) { return SORGUM_SIDE_BY_SIDE(f32x128, a.v[k] * b.v[k]); }
SORGUM_INLINE f32x128 operator/(f32x128 a, f32x128 b) { return SORGUM_SIDE_BY_SIDE(f32x128, a.v[k] / b.v[k]); }
SORGUM_INLINE f32x128 fma(f32x128 a, f32x128 b, f32x128 c) {
    return SORGUM_SIDE_BY_SIDE(f32x128, fma(a.v[k], b.v[k], c.v[k]));
}
SORGUM_INLINE f32x128 min(f32x128 a, f32x128 b) { return SORGUM_SIDE_BY_SIDE(f32x128, min(a.v[k], b.v[k])); }
SORGUM_INLINE mask128 eq(f32x128 a, f32x128 b) { return SORGUM_SIDE_BY_SIDE(mask128, eq(a.v[k], b.v[k])); }
SORGUM_INLINE f32x128 select(mask128 m, f32x128 a, f32x128 b) {
    return SORGUM_SIDE_BY_SIDE(f32x128, select(m.v[k], a.v[k], b.v[k]));
}
SORGUM_INLINE f32x128 exponent_of(f32x128 a) { return SORGUM_SIDE_BY_SIDE(f32x128, exponent_of(a.v[k])); }
SORGUM_INLINE i32x128 bits(f32x128 a) { return SORGUM_SIDE_BY_SIDE(i32x128, bits(a.v[k])); }
SORGUM_INLINE f32x128 from_bits(i32x128 a) { return SORGUM_SIDE_BY_SIDE(f32x128, from_bits(a.v[k])); }
SORGUM_INLINE i32x128 int_add(i32x128 a, i32x128 b) { return SORGUM_SIDE_BY_SIDE(i32x128, int_add(a.v[k], b.v[k])); }
SORGUM_INLINE i32x128 int_and(i32x128 a, i32x128 b) { return SORGUM_SIDE_BY_SIDE(i32x128, int_and(a.v[k], b.v[k])); }
SORGUM_INLINE i32x128 int_xor(i32x128 a, i32x128 b) { return SORGUM_SIDE_BY_SIDE(i32x128, int_xor(a.v[k], b.v[k])); }
template <int shift>
SORGUM_INLINE i32x128 shift_right(i32x128 a) {
    return SORGUM_SIDE_BY_SIDE(i32x128, shift_right<shift>(a.v[k]));
}
SORGUM_INLINE f32x128 unsigned_to_float(i32x128 a) { return SORGUM_SIDE_BY_SIDE(f32x128, unsigned_to_float(a.v[k])); }

#undef SORGUM_SIDE_BY_SIDE

SORGUM_ISA_END
