// 16 lanes with AVX-512 F, BW, VL, DQ: one register of floats, two of doubles.
#pragma once

#include <immintrin.h>

#include "core/types.h"
#include "math/lane.h"

SORGUM_ISA_BEGIN

inline constexpr int kRegisters = 1;

struct f32x16 {
    __m512 v;
};
struct i32x16 {
    __m512i v;
};
struct f64x16 {
    __m512d lo, hi;
};
struct i64x16 {
    __m512i lo, hi;
};
struct mask16 {
    __mmask16 v;
};

template <>
struct lane_of<f32x16> {
    using element = float;
    using integer = i32x16;
};
template <>
struct lane_of<f64x16> {
    using element = double;
    using integer = i64x16;
};

SORGUM_INLINE __mmask16 first_lanes(index_t n) {
    return n >= 16 ? __mmask16(0xFFFF) : n <= 0 ? __mmask16(0) : static_cast<__mmask16>((1u << n) - 1u);
}
SORGUM_INLINE __mmask8 low_lanes(__mmask16 m) { return static_cast<__mmask8>(m & 0xFF); }
SORGUM_INLINE __mmask8 high_lanes(__mmask16 m) { return static_cast<__mmask8>(m >> 8); }
SORGUM_INLINE mask16 join_lanes(__mmask8 lo, __mmask8 hi) {
    return {static_cast<__mmask16>(static_cast<unsigned>(lo) | (static_cast<unsigned>(hi) << 8))};
}

SORGUM_INLINE bool any(mask16 m) { return m.v != 0; }
SORGUM_INLINE bool all(mask16 m) { return m.v == 0xFFFF; }
SORGUM_INLINE mask16 both(mask16 a, mask16 b) { return {static_cast<__mmask16>(a.v & b.v)}; }
SORGUM_INLINE mask16 either(mask16 a, mask16 b) { return {static_cast<__mmask16>(a.v | b.v)}; }

// ---- float32 ----
template <>
SORGUM_INLINE f32x16 splat<f32x16>(float x) {
    return {_mm512_set1_ps(x)};
}
SORGUM_INLINE f32x16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
SORGUM_INLINE f32x16 gather(const float* p, const std::int32_t* index) {
    return {_mm512_i32gather_ps(_mm512_loadu_si512(index), p, 4)};
}
SORGUM_INLINE f32x16 load_first(const float* p, index_t n, float fill) {
    return {_mm512_mask_loadu_ps(_mm512_set1_ps(fill), first_lanes(n), p)};
}
SORGUM_INLINE void store(float* p, f32x16 a) { _mm512_storeu_ps(p, a.v); }
SORGUM_INLINE void store_first(float* p, f32x16 a, index_t n) { _mm512_mask_storeu_ps(p, first_lanes(n), a.v); }
SORGUM_INLINE void stream(float* p, f32x16 a) { _mm512_stream_ps(p, a.v); }
SORGUM_INLINE f32x16 operator+(f32x16 a, f32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
SORGUM_INLINE f32x16 operator-(f32x16 a, f32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
SORGUM_INLINE f32x16 operator*(f32x16 a, f32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
SORGUM_INLINE f32x16 operator/(f32x16 a, f32x16 b) { return {_mm512_div_ps(a.v, b.v)}; }
SORGUM_INLINE f32x16 fma(f32x16 a, f32x16 b, f32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
SORGUM_INLINE f32x16 max(f32x16 a, f32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }
SORGUM_INLINE f32x16 min(f32x16 a, f32x16 b) { return {_mm512_min_ps(a.v, b.v)}; }
SORGUM_INLINE mask16 lt(f32x16 a, f32x16 b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
SORGUM_INLINE mask16 eq(f32x16 a, f32x16 b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)}; }
SORGUM_INLINE mask16 is_nan(f32x16 a) { return {_mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q)}; }
SORGUM_INLINE f32x16 select(mask16 m, f32x16 a, f32x16 b) { return {_mm512_mask_blend_ps(m.v, b.v, a.v)}; }
SORGUM_INLINE f32x16 select_bytes(const void* p, f32x16 a, f32x16 b) {
    const __m128i m = _mm_loadu_si128(static_cast<const __m128i*>(p));
    return select(mask16{_mm_test_epi8_mask(m, m)}, a, b);
}
SORGUM_INLINE f32x16 select_bits(unsigned m, f32x16 a, f32x16 b) {
    return select(mask16{static_cast<__mmask16>(m)}, a, b);
}
SORGUM_INLINE f32x16 zero_where(mask16 m, f32x16 a) { return {_mm512_mask_mov_ps(a.v, m.v, _mm512_setzero_ps())}; }
SORGUM_INLINE index_t compress(float* p, mask16 m, f32x16 a) {
    _mm512_storeu_ps(p, _mm512_maskz_compress_ps(m.v, a.v));  // to memory itself, Zen 4 takes a hundred cycles
    return __builtin_popcount(m.v);
}
SORGUM_INLINE i32x16 bits(f32x16 a) { return {_mm512_castps_si512(a.v)}; }
SORGUM_INLINE f32x16 from_bits(i32x16 a) { return {_mm512_castsi512_ps(a.v)}; }
template <>
SORGUM_INLINE i32x16 splat_integer<i32x16>(std::int64_t x) {
    return {_mm512_set1_epi32(static_cast<std::int32_t>(x))};
}
SORGUM_INLINE i32x16 int_add(i32x16 a, i32x16 b) { return {_mm512_add_epi32(a.v, b.v)}; }
SORGUM_INLINE i32x16 int_sub(i32x16 a, i32x16 b) { return {_mm512_sub_epi32(a.v, b.v)}; }
SORGUM_INLINE i32x16 int_and(i32x16 a, i32x16 b) { return {_mm512_and_si512(a.v, b.v)}; }
SORGUM_INLINE i32x16 int_xor(i32x16 a, i32x16 b) { return {_mm512_xor_si512(a.v, b.v)}; }
template <int k>
SORGUM_INLINE i32x16 shift_left(i32x16 a) {
    return {_mm512_slli_epi32(a.v, k)};
}
template <int k>
SORGUM_INLINE i32x16 shift_right(i32x16 a) {
    return {_mm512_srli_epi32(a.v, k)};
}
SORGUM_INLINE i32x16 increment(i32x16 a, mask16 m) {
    return {_mm512_mask_sub_epi32(a.v, m.v, a.v, _mm512_set1_epi32(-1))};
}
template <const auto& table>
SORGUM_INLINE i32x16 pick(i32x16 i) {
    const __m512 four = _mm512_castsi512_ps(_mm512_setr4_epi32(table[0], table[1], table[2], table[3]));
    return {_mm512_castps_si512(_mm512_permutevar_ps(four, i.v))};
}
SORGUM_INLINE index_t fold_count(i32x16 a) { return _mm512_reduce_add_epi32(a.v); }

// ---- float64 ----
template <>
SORGUM_INLINE f64x16 splat<f64x16>(double x) {
    return {_mm512_set1_pd(x), _mm512_set1_pd(x)};
}
SORGUM_INLINE f64x16 load(const double* p) { return {_mm512_loadu_pd(p), _mm512_loadu_pd(p + 8)}; }
SORGUM_INLINE f64x16 gather(const double* p, const std::int32_t* index) {
    const __m256i* const at = reinterpret_cast<const __m256i*>(index);
    return {_mm512_i32gather_pd(_mm256_loadu_si256(at), p, 8), _mm512_i32gather_pd(_mm256_loadu_si256(at + 1), p, 8)};
}
SORGUM_INLINE f64x16 load_first(const double* p, index_t n, double fill) {
    const __mmask16 m = first_lanes(n);
    const __m512d f = _mm512_set1_pd(fill);
    return {_mm512_mask_loadu_pd(f, low_lanes(m), p), _mm512_mask_loadu_pd(f, high_lanes(m), p + 8)};
}
SORGUM_INLINE void store(double* p, f64x16 a) {
    _mm512_storeu_pd(p, a.lo);
    _mm512_storeu_pd(p + 8, a.hi);
}
SORGUM_INLINE void store_first(double* p, f64x16 a, index_t n) {
    const __mmask16 m = first_lanes(n);
    _mm512_mask_storeu_pd(p, low_lanes(m), a.lo);
    _mm512_mask_storeu_pd(p + 8, high_lanes(m), a.hi);
}
SORGUM_INLINE void stream(double* p, f64x16 a) {
    _mm512_stream_pd(p, a.lo);
    _mm512_stream_pd(p + 8, a.hi);
}
SORGUM_INLINE f64x16 operator+(f64x16 a, f64x16 b) { return {_mm512_add_pd(a.lo, b.lo), _mm512_add_pd(a.hi, b.hi)}; }
SORGUM_INLINE f64x16 operator-(f64x16 a, f64x16 b) { return {_mm512_sub_pd(a.lo, b.lo), _mm512_sub_pd(a.hi, b.hi)}; }
SORGUM_INLINE f64x16 operator*(f64x16 a, f64x16 b) { return {_mm512_mul_pd(a.lo, b.lo), _mm512_mul_pd(a.hi, b.hi)}; }
SORGUM_INLINE f64x16 operator/(f64x16 a, f64x16 b) { return {_mm512_div_pd(a.lo, b.lo), _mm512_div_pd(a.hi, b.hi)}; }
SORGUM_INLINE f64x16 fma(f64x16 a, f64x16 b, f64x16 c) {
    return {_mm512_fmadd_pd(a.lo, b.lo, c.lo), _mm512_fmadd_pd(a.hi, b.hi, c.hi)};
}
SORGUM_INLINE f64x16 max(f64x16 a, f64x16 b) { return {_mm512_max_pd(a.lo, b.lo), _mm512_max_pd(a.hi, b.hi)}; }
SORGUM_INLINE f64x16 min(f64x16 a, f64x16 b) { return {_mm512_min_pd(a.lo, b.lo), _mm512_min_pd(a.hi, b.hi)}; }
SORGUM_INLINE mask16 lt(f64x16 a, f64x16 b) {
    return join_lanes(_mm512_cmp_pd_mask(a.lo, b.lo, _CMP_LT_OQ), _mm512_cmp_pd_mask(a.hi, b.hi, _CMP_LT_OQ));
}
SORGUM_INLINE mask16 eq(f64x16 a, f64x16 b) {
    return join_lanes(_mm512_cmp_pd_mask(a.lo, b.lo, _CMP_EQ_OQ), _mm512_cmp_pd_mask(a.hi, b.hi, _CMP_EQ_OQ));
}
SORGUM_INLINE mask16 is_nan(f64x16 a) {
    return join_lanes(_mm512_cmp_pd_mask(a.lo, a.lo, _CMP_UNORD_Q), _mm512_cmp_pd_mask(a.hi, a.hi, _CMP_UNORD_Q));
}
SORGUM_INLINE f64x16 select(mask16 m, f64x16 a, f64x16 b) {
    return {_mm512_mask_blend_pd(low_lanes(m.v), b.lo, a.lo), _mm512_mask_blend_pd(high_lanes(m.v), b.hi, a.hi)};
}
SORGUM_INLINE f64x16 select_bytes(const void* p, f64x16 a, f64x16 b) {
    const __m128i m = _mm_loadu_si128(static_cast<const __m128i*>(p));
    return select(mask16{_mm_test_epi8_mask(m, m)}, a, b);
}
SORGUM_INLINE f64x16 select_bits(unsigned m, f64x16 a, f64x16 b) {
    return select(mask16{static_cast<__mmask16>(m)}, a, b);
}
SORGUM_INLINE f64x16 zero_where(mask16 m, f64x16 a) {
    return {_mm512_mask_mov_pd(a.lo, low_lanes(m.v), _mm512_setzero_pd()),
            _mm512_mask_mov_pd(a.hi, high_lanes(m.v), _mm512_setzero_pd())};
}
SORGUM_INLINE index_t compress(double* p, mask16 m, f64x16 a) {
    const index_t low = __builtin_popcount(low_lanes(m.v));
    _mm512_storeu_pd(p, _mm512_maskz_compress_pd(low_lanes(m.v), a.lo));
    _mm512_storeu_pd(p + low, _mm512_maskz_compress_pd(high_lanes(m.v), a.hi));
    return low + __builtin_popcount(high_lanes(m.v));
}
SORGUM_INLINE i64x16 bits(f64x16 a) { return {_mm512_castpd_si512(a.lo), _mm512_castpd_si512(a.hi)}; }
SORGUM_INLINE f64x16 from_bits(i64x16 a) { return {_mm512_castsi512_pd(a.lo), _mm512_castsi512_pd(a.hi)}; }
template <>
SORGUM_INLINE i64x16 splat_integer<i64x16>(std::int64_t x) {
    return {_mm512_set1_epi64(x), _mm512_set1_epi64(x)};
}
SORGUM_INLINE i64x16 int_add(i64x16 a, i64x16 b) {
    return {_mm512_add_epi64(a.lo, b.lo), _mm512_add_epi64(a.hi, b.hi)};
}
SORGUM_INLINE i64x16 int_sub(i64x16 a, i64x16 b) {
    return {_mm512_sub_epi64(a.lo, b.lo), _mm512_sub_epi64(a.hi, b.hi)};
}
SORGUM_INLINE i64x16 int_and(i64x16 a, i64x16 b) {
    return {_mm512_and_si512(a.lo, b.lo), _mm512_and_si512(a.hi, b.hi)};
}
SORGUM_INLINE i64x16 int_xor(i64x16 a, i64x16 b) {
    return {_mm512_xor_si512(a.lo, b.lo), _mm512_xor_si512(a.hi, b.hi)};
}
template <int k>
SORGUM_INLINE i64x16 shift_left(i64x16 a) {
    return {_mm512_slli_epi64(a.lo, k), _mm512_slli_epi64(a.hi, k)};
}
template <int k>
SORGUM_INLINE i64x16 shift_right(i64x16 a) {
    return {_mm512_srli_epi64(a.lo, k), _mm512_srli_epi64(a.hi, k)};
}
SORGUM_INLINE i64x16 increment(i64x16 a, mask16 m) {
    const __m512i minus_one = _mm512_set1_epi64(-1);
    return {_mm512_mask_sub_epi64(a.lo, low_lanes(m.v), a.lo, minus_one),
            _mm512_mask_sub_epi64(a.hi, high_lanes(m.v), a.hi, minus_one)};
}
SORGUM_INLINE index_t fold_count(i64x16 a) { return _mm512_reduce_add_epi64(_mm512_add_epi64(a.lo, a.hi)); }

// ---- between the two ----
SORGUM_INLINE f32x16 exponent_of(f32x16 a) { return {_mm512_getexp_ps(a.v)}; }
SORGUM_INLINE f64x16 exponent_of(f64x16 a) { return {_mm512_getexp_pd(a.lo), _mm512_getexp_pd(a.hi)}; }
SORGUM_INLINE f64x16 widen(f32x16 a) {
    return {_mm512_cvtps_pd(_mm512_castps512_ps256(a.v)), _mm512_cvtps_pd(_mm512_extractf32x8_ps(a.v, 1))};
}
SORGUM_INLINE f64x16 load_wide(const float* p) {  // a conversion from memory takes no shuffle
    return {_mm512_cvtps_pd(_mm256_loadu_ps(p)), _mm512_cvtps_pd(_mm256_loadu_ps(p + 8))};
}
SORGUM_INLINE f32x16 narrow(f64x16 a) {
    return {_mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(a.lo)), _mm512_cvtpd_ps(a.hi), 1)};
}
SORGUM_INLINE void store_narrow(float* p, f64x16 a) {
    _mm256_storeu_ps(p, _mm512_cvtpd_ps(a.lo));
    _mm256_storeu_ps(p + 8, _mm512_cvtpd_ps(a.hi));
}

// ---- words ----
// VPMULUDQ multiplies the even lanes; the odd ones are shifted to their place.
SORGUM_INLINE __m512i product_of_even(__m512i a, __m512i b) { return _mm512_mul_epu32(a, b); }
SORGUM_INLINE __m512i product_of_odd(__m512i a, __m512i b) {
    return _mm512_mul_epu32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));
}
SORGUM_INLINE i32x16 multiply_high(i32x16 a, i32x16 b) {
    return {_mm512_mask_shuffle_epi32(product_of_odd(a.v, b.v), 0x5555, product_of_even(a.v, b.v), _MM_PERM_DDBB)};
}
SORGUM_INLINE i32x16 multiply_low(i32x16 a, i32x16 b) {
    return {_mm512_mask_shuffle_epi32(product_of_even(a.v, b.v), 0xAAAA, product_of_odd(a.v, b.v), _MM_PERM_CCAA)};
}
SORGUM_INLINE f32x16 to_float(i32x16 a) { return {_mm512_cvtepi32_ps(a.v)}; }
SORGUM_INLINE f32x16 unsigned_to_float(i32x16 a) { return {_mm512_cvtepu32_ps(a.v)}; }
SORGUM_INLINE i64x16 zero_extend(i32x16 a) {
    return {_mm512_cvtepu32_epi64(_mm512_castsi512_si256(a.v)),
            _mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64(a.v, 1))};
}
SORGUM_INLINE i64x16 join(i32x16 a, i32x16 b) { return {a.v, b.v}; }
template <int k>
SORGUM_INLINE i32x16 shift_right_signed(i32x16 a) {
    return {_mm512_srai_epi32(a.v, k)};
}
SORGUM_INLINE mask16 negative(i32x16 a) { return {_mm512_movepi32_mask(a.v)}; }
SORGUM_INLINE void transpose_quads(i32x16* rows) {
    const __m512i lo01 = _mm512_unpacklo_epi32(rows[0].v, rows[1].v);
    const __m512i hi01 = _mm512_unpackhi_epi32(rows[0].v, rows[1].v);
    const __m512i lo23 = _mm512_unpacklo_epi32(rows[2].v, rows[3].v);
    const __m512i hi23 = _mm512_unpackhi_epi32(rows[2].v, rows[3].v);
    rows[0].v = _mm512_unpacklo_epi64(lo01, lo23);
    rows[1].v = _mm512_unpackhi_epi64(lo01, lo23);
    rows[2].v = _mm512_unpacklo_epi64(hi01, hi23);
    rows[3].v = _mm512_unpackhi_epi64(hi01, hi23);
}

// ---- windows over two vectors ----
SORGUM_INLINE f32x16 slide(f32x16 a, f32x16 b, index_t n) {
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i from = _mm512_add_epi32(lane, _mm512_set1_epi32(static_cast<int>(16 - n)));
    return {n == 0 ? b.v : _mm512_permutex2var_ps(a.v, from, b.v)};
}
SORGUM_INLINE f64x16 slide(f64x16 a, f64x16 b, index_t n) {
    const __m512i lane = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
    const __m512i from = _mm512_add_epi64(lane, _mm512_set1_epi64((16 - n) % 8));
    if (n == 0)
        return b;
    if (n <= 8)
        return {_mm512_permutex2var_pd(a.hi, from, b.lo), _mm512_permutex2var_pd(b.lo, from, b.hi)};
    return {_mm512_permutex2var_pd(a.lo, from, a.hi), _mm512_permutex2var_pd(a.hi, from, b.lo)};
}

// ---- every other lane of two vectors, and back ----
SORGUM_INLINE f32x16 even_lanes(f32x16 a, f32x16 b) {
    const __m512i from = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return {_mm512_permutex2var_ps(a.v, from, b.v)};
}
SORGUM_INLINE f32x16 odd_lanes(f32x16 a, f32x16 b) {
    const __m512i from = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    return {_mm512_permutex2var_ps(a.v, from, b.v)};
}
SORGUM_INLINE f32x16 zip_low(f32x16 a, f32x16 b) {
    const __m512i from = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    return {_mm512_permutex2var_ps(a.v, from, b.v)};
}
SORGUM_INLINE f32x16 zip_high(f32x16 a, f32x16 b) {
    const __m512i from = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    return {_mm512_permutex2var_ps(a.v, from, b.v)};
}
SORGUM_INLINE f64x16 even_lanes(f64x16 a, f64x16 b) {
    const __m512i from = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
    return {_mm512_permutex2var_pd(a.lo, from, a.hi), _mm512_permutex2var_pd(b.lo, from, b.hi)};
}
SORGUM_INLINE f64x16 odd_lanes(f64x16 a, f64x16 b) {
    const __m512i from = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
    return {_mm512_permutex2var_pd(a.lo, from, a.hi), _mm512_permutex2var_pd(b.lo, from, b.hi)};
}
SORGUM_INLINE f64x16 zip_low(f64x16 a, f64x16 b) {
    const __m512i first = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
    const __m512i second = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
    return {_mm512_permutex2var_pd(a.lo, first, b.lo), _mm512_permutex2var_pd(a.lo, second, b.lo)};
}
SORGUM_INLINE f64x16 zip_high(f64x16 a, f64x16 b) { return zip_low(f64x16{a.hi, a.hi}, f64x16{b.hi, b.hi}); }

// ---- folds by halves: lane i with lane i + 8, then 4, 2, 1 ----
// 16 rows at once are folded by the same tree while they are transposed: 15 operations for 16 rows. In the float32
// version each step takes pairs of rows (r, s) to one register that holds both, half as wide; the order of the rows at
// the start is the one that ends in lane r for row r.
#define SORGUM_FOLD_ROWS_F32(name, op)                                                                     \
    SORGUM_INLINE __m512 name##_halves(__m512 a, __m512 b) {                                               \
        return op(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));                     \
    }                                                                                                      \
    SORGUM_INLINE __m512 name##_quarters(__m512 a, __m512 b) {                                             \
        return op(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xDD));                     \
    }                                                                                                      \
    SORGUM_INLINE __m512 name##_pairs(__m512 a, __m512 b) {                                                \
        const __m512d x = _mm512_castps_pd(a), y = _mm512_castps_pd(b);                                    \
        return op(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y))); \
    }                                                                                                      \
    SORGUM_INLINE __m512 name##_column(const f32x16* r) {                                                  \
        return name##_quarters(name##_halves(r[0].v, r[4].v), name##_halves(r[8].v, r[12].v));             \
    }                                                                                                      \
    SORGUM_INLINE f32x16 name##_rows(const f32x16* r) {                                                    \
        const __m512 x = name##_pairs(name##_column(r), name##_column(r + 1));                             \
        const __m512 y = name##_pairs(name##_column(r + 2), name##_column(r + 3));                         \
        return {op(_mm512_shuffle_ps(x, y, 0x88), _mm512_shuffle_ps(x, y, 0xDD))};                         \
    }                                                                                                      \
    SORGUM_INLINE float name(f32x16 a) {                                                                   \
        const __m512 h = op(a.v, _mm512_shuffle_f32x4(a.v, a.v, 0xEE));                                    \
        const __m512 q = op(h, _mm512_shuffle_f32x4(h, h, 0x55));                                          \
        const __m512 p = op(q, _mm512_permute_ps(q, 0xEE));                                                \
        return _mm512_cvtss_f32(op(p, _mm512_permute_ps(p, 0x55)));                                        \
    }
SORGUM_FOLD_ROWS_F32(fold_max, _mm512_max_ps)
SORGUM_FOLD_ROWS_F32(fold_sum, _mm512_add_ps)
#undef SORGUM_FOLD_ROWS_F32

#define SORGUM_FOLD_ROWS_F64(name, op)                                                                              \
    SORGUM_INLINE __m512d name##_halves(__m512d a, __m512d b) {                                                     \
        return op(_mm512_shuffle_f64x2(a, b, 0x44), _mm512_shuffle_f64x2(a, b, 0xEE));                              \
    }                                                                                                               \
    SORGUM_INLINE __m512d name##_quarters(__m512d a, __m512d b) {                                                   \
        return op(_mm512_shuffle_f64x2(a, b, 0x88), _mm512_shuffle_f64x2(a, b, 0xDD));                              \
    }                                                                                                               \
    SORGUM_INLINE __m512d name##_pair(f64x16 a, f64x16 b) { return name##_halves(op(a.lo, a.hi), op(b.lo, b.hi)); } \
    SORGUM_INLINE __m512d name##_eight(const f64x16* r) {                                                           \
        const __m512d x = name##_quarters(name##_pair(r[0], r[2]), name##_pair(r[4], r[6]));                        \
        const __m512d y = name##_quarters(name##_pair(r[1], r[3]), name##_pair(r[5], r[7]));                        \
        return op(_mm512_unpacklo_pd(x, y), _mm512_unpackhi_pd(x, y));                                              \
    }                                                                                                               \
    SORGUM_INLINE f64x16 name##_rows(const f64x16* r) { return {name##_eight(r), name##_eight(r + 8)}; }            \
    SORGUM_INLINE double name(f64x16 a) {                                                                           \
        const __m512d e = op(a.lo, a.hi);                                                                           \
        const __m512d q = op(e, _mm512_shuffle_f64x2(e, e, 0xEE));                                                  \
        const __m512d p = op(q, _mm512_shuffle_f64x2(q, q, 0x55));                                                  \
        return _mm512_cvtsd_f64(op(p, _mm512_permute_pd(p, 0x55)));                                                 \
    }
SORGUM_FOLD_ROWS_F64(fold_max, _mm512_max_pd)
SORGUM_FOLD_ROWS_F64(fold_sum, _mm512_add_pd)
#undef SORGUM_FOLD_ROWS_F64

// ---- transposes: lane j of rows[i] with lane i of rows[j] ----
// First 4 x 4 (float64: 2 x 2) in the 128-bit parts of neighbouring rows, then the parts as a 4 x 4 matrix.
SORGUM_INLINE void transpose_parts(__m512 a, __m512 b, __m512 c, __m512 d, __m512* out, int step) {
    const __m512 even_ab = _mm512_shuffle_f32x4(a, b, 0x88), odd_ab = _mm512_shuffle_f32x4(a, b, 0xDD);
    const __m512 even_cd = _mm512_shuffle_f32x4(c, d, 0x88), odd_cd = _mm512_shuffle_f32x4(c, d, 0xDD);
    out[0] = _mm512_shuffle_f32x4(even_ab, even_cd, 0x88);
    out[step] = _mm512_shuffle_f32x4(odd_ab, odd_cd, 0x88);
    out[2 * step] = _mm512_shuffle_f32x4(even_ab, even_cd, 0xDD);
    out[3 * step] = _mm512_shuffle_f32x4(odd_ab, odd_cd, 0xDD);
}
SORGUM_INLINE void transpose(f32x16* rows) {
    __m512 t[16], out[16];
#pragma GCC unroll 4
    for (int g = 0; g < 16; g += 4) {
        const __m512d lo01 = _mm512_castps_pd(_mm512_unpacklo_ps(rows[g].v, rows[g + 1].v));
        const __m512d hi01 = _mm512_castps_pd(_mm512_unpackhi_ps(rows[g].v, rows[g + 1].v));
        const __m512d lo23 = _mm512_castps_pd(_mm512_unpacklo_ps(rows[g + 2].v, rows[g + 3].v));
        const __m512d hi23 = _mm512_castps_pd(_mm512_unpackhi_ps(rows[g + 2].v, rows[g + 3].v));
        t[g] = _mm512_castpd_ps(_mm512_unpacklo_pd(lo01, lo23));
        t[g + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(lo01, lo23));
        t[g + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(hi01, hi23));
        t[g + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(hi01, hi23));
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c)
        transpose_parts(t[c], t[4 + c], t[8 + c], t[12 + c], out + c, 4);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i)
        rows[i].v = out[i];
}
SORGUM_INLINE void transpose_eight(const __m512d* r, __m512d* out) {
    __m512 t[8], columns[8];
#pragma GCC unroll 4
    for (int g = 0; g < 4; ++g) {
        t[g] = _mm512_castpd_ps(_mm512_unpacklo_pd(r[2 * g], r[2 * g + 1]));
        t[4 + g] = _mm512_castpd_ps(_mm512_unpackhi_pd(r[2 * g], r[2 * g + 1]));
    }
    transpose_parts(t[0], t[1], t[2], t[3], columns, 2);
    transpose_parts(t[4], t[5], t[6], t[7], columns + 1, 2);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i)
        out[i] = _mm512_castps_pd(columns[i]);
}
SORGUM_INLINE void transpose(f64x16* rows) {
    __m512d part[4][8], out[4][8];  // rows 0-7 and 8-15, lanes 0-7 and 8-15
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
        part[0][i] = rows[i].lo;
        part[1][i] = rows[i].hi;
        part[2][i] = rows[i + 8].lo;
        part[3][i] = rows[i + 8].hi;
    }
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q)
        transpose_eight(part[q], out[q]);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
        rows[i] = {out[0][i], out[2][i]};
        rows[i + 8] = {out[1][i], out[3][i]};
    }
}

SORGUM_INLINE void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
SORGUM_INLINE void prefetch_second(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }
SORGUM_INLINE void stream_fence() { _mm_sfence(); }

// ---- half types. bfloat16 by integers: the instructions for it flush subnormals ----
SORGUM_INLINE f32x16 load_half(const float16* p) {
    return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
SORGUM_INLINE __m256i half_bits(f32x16 a, float16) { return _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT); }
SORGUM_INLINE f32x16 load_upper(const bfloat16* p) {  // a NaN as it is
    const __m512i narrow = _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    const __m512i upper = _mm512_slli_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                            16);  // whence the odd halves come
    return {_mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(0xAAAAAAAA, upper, narrow))};
}
SORGUM_INLINE f32x16 load_half(const bfloat16* p) {
    // x + (-0) is x, and makes NaN quiet.
    return {_mm512_add_round_ps(load_upper(p).v, _mm512_set1_ps(-0.0f), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
SORGUM_INLINE f64x16 load_half_wide(const float16* p) { return widen(load_half(p)); }
SORGUM_INLINE f64x16 load_half_wide(const bfloat16* p) { return widen(load_upper(p)); }  // that makes NaN quiet
SORGUM_INLINE __m512i rounded_up(__m512i x) {                                            // its upper halves: rounded
    const __mmask16 odd = _mm512_test_epi32_mask(x, _mm512_set1_epi32(0x10000));
    return _mm512_add_epi32(x, _mm512_mask_blend_epi32(odd, _mm512_set1_epi32(0x7FFF), _mm512_set1_epi32(0x8000)));
}
SORGUM_INLINE __m256i upper_halves(__m512i x) {
    const __m512i odd =
        _mm512_set_epi64(0, 0, 0, 0, 0x001F001D001B0019, 0x0017001500130011, 0x000F000D000B0009, 0x0007000500030001);
    return _mm512_castsi512_si256(_mm512_permutexvar_epi16(odd, x));
}
SORGUM_INLINE __m256i half_bits(f32x16 a, bfloat16) {
    const __m512i x = _mm512_castps_si512(a.v);
    const __mmask16 nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
    return upper_halves(_mm512_mask_or_epi32(rounded_up(x), nan, x, _mm512_set1_epi32(0x400000)));
}
template <class H>
SORGUM_INLINE void store_half(H* p, f32x16 a) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), half_bits(a, H()));
}
SORGUM_INLINE void store_half_canonical(float16* p, f32x16 a) { store_half(p, a); }
SORGUM_INLINE void store_half_canonical(bfloat16* p, f32x16 a) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), upper_halves(rounded_up(_mm512_castps_si512(a.v))));
}
template <class H>
SORGUM_INLINE void stream_half(H* p, f32x16 a, f32x16 b) {
    const __m512i lower = _mm512_castsi256_si512(half_bits(a, H()));
    _mm512_stream_si512(reinterpret_cast<__m512i*>(p), _mm512_inserti64x4(lower, half_bits(b, H()), 1));
}

// A tile of a product: 24 of the 32 registers hold sums, the others vectors of one operand; elements of the other come
// from memory.
template <class T>
struct ProductTile;
template <>
struct ProductTile<float> {
    static constexpr int rows = 12, vectors = 2;
};
template <>
struct ProductTile<double> {
    static constexpr int rows = 12, vectors = 1;
};

SORGUM_ISA_END
