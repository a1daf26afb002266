// 16 lanes with AVX2, FMA and F16C: two registers of floats, four of doubles.
#pragma once

#include <immintrin.h>

#include "core/types.h"
#include "math/lane.h"

SORGUM_ISA_BEGIN

inline constexpr int kRegisters = 2;

struct f32x16 {
    __m256 v[2];
};
struct i32x16 {
    __m256i v[2];
};
struct f64x16 {
    __m256d v[4];
};
struct i64x16 {
    __m256i v[4];
};
struct mask32x16 {  // all bits of a lane set or none
    __m256 v[2];
};
struct mask64x16 {
    __m256d v[4];
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

SORGUM_INLINE __m256i first_lanes32(index_t n, int base) {
    const index_t left = n - base;
    const int count = left >= 8 ? 8 : left <= 0 ? 0 : static_cast<int>(left);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
SORGUM_INLINE __m256i first_lanes64(index_t n, int base) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n - base), _mm256_setr_epi64x(0, 1, 2, 3));
}

// Byte k of entry m is the k-th set bit of m: how a permutation brings the lanes of a mask together.
struct Compressions {
    std::uint64_t of[256];
    constexpr Compressions() : of() {
        for (unsigned m = 0; m < 256; ++m)
            for (unsigned lane = 0, k = 0; lane < 8; ++lane)
                if ((m >> lane & 1) != 0)
                    of[m] |= std::uint64_t(lane) << 8 * k++;
    }
};
inline constexpr Compressions kCompressions;
SORGUM_INLINE __m256i compression(unsigned m) {
    return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(kCompressions.of[m])));
}

// ---- float32 ----
template <>
SORGUM_INLINE f32x16 splat<f32x16>(float x) {
    return {{_mm256_set1_ps(x), _mm256_set1_ps(x)}};
}
SORGUM_INLINE f32x16 load(const float* p) { return {{_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}}; }
SORGUM_INLINE f32x16 gather(const float* p, const std::int32_t* i) {  // loads one by one beat VGATHERDPS
    return {{_mm256_setr_ps(p[i[0]], p[i[1]], p[i[2]], p[i[3]], p[i[4]], p[i[5]], p[i[6]], p[i[7]]),
             _mm256_setr_ps(p[i[8]], p[i[9]], p[i[10]], p[i[11]], p[i[12]], p[i[13]], p[i[14]], p[i[15]])}};
}
SORGUM_INLINE f32x16 load_first(const float* p, index_t n, float fill) {
    const __m256 f = _mm256_set1_ps(fill);
    const __m256i a = first_lanes32(n, 0), b = first_lanes32(n, 8);
    return {{_mm256_blendv_ps(f, _mm256_maskload_ps(p, a), _mm256_castsi256_ps(a)),
             _mm256_blendv_ps(f, _mm256_maskload_ps(p + 8, b), _mm256_castsi256_ps(b))}};
}
SORGUM_INLINE void store(float* p, f32x16 a) {
    _mm256_storeu_ps(p, a.v[0]);
    _mm256_storeu_ps(p + 8, a.v[1]);
}
SORGUM_INLINE void store_first(float* p, f32x16 a, index_t n) {
    _mm256_maskstore_ps(p, first_lanes32(n, 0), a.v[0]);
    _mm256_maskstore_ps(p + 8, first_lanes32(n, 8), a.v[1]);
}
SORGUM_INLINE void stream(float* p, f32x16 a) {
    _mm256_stream_ps(p, a.v[0]);
    _mm256_stream_ps(p + 8, a.v[1]);
}

#define SORGUM_F32_OP2(name, op) \
    SORGUM_INLINE f32x16 name(f32x16 a, f32x16 b) { return {{op(a.v[0], b.v[0]), op(a.v[1], b.v[1])}}; }
SORGUM_F32_OP2(operator+, _mm256_add_ps)
SORGUM_F32_OP2(operator-, _mm256_sub_ps)
SORGUM_F32_OP2(operator*, _mm256_mul_ps)
SORGUM_F32_OP2(operator/, _mm256_div_ps)
SORGUM_F32_OP2(max, _mm256_max_ps)
SORGUM_F32_OP2(min, _mm256_min_ps)
#undef SORGUM_F32_OP2
SORGUM_INLINE f32x16 fma(f32x16 a, f32x16 b, f32x16 c) {
    return {{_mm256_fmadd_ps(a.v[0], b.v[0], c.v[0]), _mm256_fmadd_ps(a.v[1], b.v[1], c.v[1])}};
}
#define SORGUM_F32_COMPARE(name, a, b, how)                                                \
    mask32x16 {                                                                            \
        {                                                                                  \
            _mm256_cmp_ps((a).v[0], (b).v[0], how), _mm256_cmp_ps((a).v[1], (b).v[1], how) \
        }                                                                                  \
    }
SORGUM_INLINE mask32x16 lt(f32x16 a, f32x16 b) { return SORGUM_F32_COMPARE(lt, a, b, _CMP_LT_OQ); }
SORGUM_INLINE mask32x16 eq(f32x16 a, f32x16 b) { return SORGUM_F32_COMPARE(eq, a, b, _CMP_EQ_OQ); }
SORGUM_INLINE mask32x16 is_nan(f32x16 a) { return SORGUM_F32_COMPARE(is_nan, a, a, _CMP_UNORD_Q); }
#undef SORGUM_F32_COMPARE
SORGUM_INLINE f32x16 select(mask32x16 m, f32x16 a, f32x16 b) {
    return {{_mm256_blendv_ps(b.v[0], a.v[0], m.v[0]), _mm256_blendv_ps(b.v[1], a.v[1], m.v[1])}};
}
SORGUM_INLINE f32x16 select_bytes(const void* p, f32x16 a, f32x16 b) {
    const __m128i m = _mm_loadu_si128(static_cast<const __m128i*>(p)), zero = _mm_setzero_si128();
    const __m128i absent = _mm_cmpeq_epi8(m, zero);
    const __m256 lo = _mm256_castsi256_ps(_mm256_cvtepi8_epi32(absent));
    const __m256 hi = _mm256_castsi256_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(absent, 8)));
    return {{_mm256_blendv_ps(a.v[0], b.v[0], lo), _mm256_blendv_ps(a.v[1], b.v[1], hi)}};
}
// Lanes whose bit of m is set, of those that stand in `bit`.
SORGUM_INLINE __m256 lanes_set(__m256i m, __m256i bit) {
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(m, bit), bit));
}
SORGUM_INLINE f32x16 select_bits(unsigned m, f32x16 a, f32x16 b) {
    const __m256i all = _mm256_set1_epi32(static_cast<int>(m));
    const __m256 lo = lanes_set(all, _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128));
    const __m256 hi = lanes_set(all, _mm256_setr_epi32(256, 512, 1024, 2048, 4096, 8192, 16384, 32768));
    return {{_mm256_blendv_ps(b.v[0], a.v[0], lo), _mm256_blendv_ps(b.v[1], a.v[1], hi)}};
}
SORGUM_INLINE f32x16 zero_where(mask32x16 m, f32x16 a) {
    return {{_mm256_andnot_ps(m.v[0], a.v[0]), _mm256_andnot_ps(m.v[1], a.v[1])}};
}
SORGUM_INLINE bool any(mask32x16 m) { return _mm256_movemask_ps(_mm256_or_ps(m.v[0], m.v[1])) != 0; }
SORGUM_INLINE bool all(mask32x16 m) { return _mm256_movemask_ps(_mm256_and_ps(m.v[0], m.v[1])) == 0xFF; }
SORGUM_INLINE mask32x16 both(mask32x16 a, mask32x16 b) {
    return {{_mm256_and_ps(a.v[0], b.v[0]), _mm256_and_ps(a.v[1], b.v[1])}};
}
SORGUM_INLINE mask32x16 either(mask32x16 a, mask32x16 b) {
    return {{_mm256_or_ps(a.v[0], b.v[0]), _mm256_or_ps(a.v[1], b.v[1])}};
}
SORGUM_INLINE index_t compress(float* p, mask32x16 m, f32x16 a) {
    index_t n = 0;
    for (int i = 0; i < 2; ++i) {
        const auto set = static_cast<unsigned>(_mm256_movemask_ps(m.v[i]));
        _mm256_storeu_ps(p + n, _mm256_permutevar8x32_ps(a.v[i], compression(set)));
        n += __builtin_popcount(set);
    }
    return n;
}
SORGUM_INLINE i32x16 bits(f32x16 a) { return {{_mm256_castps_si256(a.v[0]), _mm256_castps_si256(a.v[1])}}; }
SORGUM_INLINE f32x16 from_bits(i32x16 a) { return {{_mm256_castsi256_ps(a.v[0]), _mm256_castsi256_ps(a.v[1])}}; }
template <>
SORGUM_INLINE i32x16 splat_integer<i32x16>(std::int64_t x) {
    const __m256i v = _mm256_set1_epi32(static_cast<std::int32_t>(x));
    return {{v, v}};
}
SORGUM_INLINE i32x16 int_add(i32x16 a, i32x16 b) {
    return {{_mm256_add_epi32(a.v[0], b.v[0]), _mm256_add_epi32(a.v[1], b.v[1])}};
}
SORGUM_INLINE i32x16 int_sub(i32x16 a, i32x16 b) {
    return {{_mm256_sub_epi32(a.v[0], b.v[0]), _mm256_sub_epi32(a.v[1], b.v[1])}};
}
SORGUM_INLINE i32x16 int_and(i32x16 a, i32x16 b) {
    return {{_mm256_and_si256(a.v[0], b.v[0]), _mm256_and_si256(a.v[1], b.v[1])}};
}
SORGUM_INLINE i32x16 int_xor(i32x16 a, i32x16 b) {
    return {{_mm256_xor_si256(a.v[0], b.v[0]), _mm256_xor_si256(a.v[1], b.v[1])}};
}
template <int k>
SORGUM_INLINE i32x16 shift_left(i32x16 a) {
    return {{_mm256_slli_epi32(a.v[0], k), _mm256_slli_epi32(a.v[1], k)}};
}
template <int k>
SORGUM_INLINE i32x16 shift_right(i32x16 a) {
    return {{_mm256_srli_epi32(a.v[0], k), _mm256_srli_epi32(a.v[1], k)}};
}
SORGUM_INLINE i32x16 increment(i32x16 a, mask32x16 m) {
    return {
        {_mm256_sub_epi32(a.v[0], _mm256_castps_si256(m.v[0])), _mm256_sub_epi32(a.v[1], _mm256_castps_si256(m.v[1]))}};
}
template <const auto& table>
SORGUM_INLINE i32x16 pick(i32x16 i) {
    const __m256 four = _mm256_castsi256_ps(
        _mm256_setr_epi32(table[0], table[1], table[2], table[3], table[0], table[1], table[2], table[3]));
    return {{_mm256_castps_si256(_mm256_permutevar_ps(four, i.v[0])),
             _mm256_castps_si256(_mm256_permutevar_ps(four, i.v[1]))}};
}
SORGUM_INLINE index_t fold_count(i32x16 a) {
    alignas(32) std::int32_t lane[8];
    _mm256_store_si256(reinterpret_cast<__m256i*>(lane), _mm256_add_epi32(a.v[0], a.v[1]));
    index_t sum = 0;
    for (int i = 0; i < 8; ++i)
        sum += lane[i];
    return sum;
}

// ---- float64 ----
template <>
SORGUM_INLINE f64x16 splat<f64x16>(double x) {
    const __m256d v = _mm256_set1_pd(x);
    return {{v, v, v, v}};
}
SORGUM_INLINE f64x16 gather(const double* p, const std::int32_t* i) {
    return {{_mm256_setr_pd(p[i[0]], p[i[1]], p[i[2]], p[i[3]]), _mm256_setr_pd(p[i[4]], p[i[5]], p[i[6]], p[i[7]]),
             _mm256_setr_pd(p[i[8]], p[i[9]], p[i[10]], p[i[11]]),
             _mm256_setr_pd(p[i[12]], p[i[13]], p[i[14]], p[i[15]])}};
}
SORGUM_INLINE f64x16 load(const double* p) {
    return {{_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4), _mm256_loadu_pd(p + 8), _mm256_loadu_pd(p + 12)}};
}
SORGUM_INLINE __m256d load_first4(const double* p, index_t n, __m256d fill, int base) {
    const __m256i m = first_lanes64(n, base);
    return _mm256_blendv_pd(fill, _mm256_maskload_pd(p + base, m), _mm256_castsi256_pd(m));
}
SORGUM_INLINE f64x16 load_first(const double* p, index_t n, double fill) {
    const __m256d f = _mm256_set1_pd(fill);
    return {{load_first4(p, n, f, 0), load_first4(p, n, f, 4), load_first4(p, n, f, 8), load_first4(p, n, f, 12)}};
}
SORGUM_INLINE void store(double* p, f64x16 a) {
    for (int i = 0; i < 4; ++i)
        _mm256_storeu_pd(p + 4 * i, a.v[i]);
}
SORGUM_INLINE void store_first(double* p, f64x16 a, index_t n) {
    for (int i = 0; i < 4; ++i)
        _mm256_maskstore_pd(p + 4 * i, first_lanes64(n, 4 * i), a.v[i]);
}
SORGUM_INLINE void stream(double* p, f64x16 a) {
    for (int i = 0; i < 4; ++i)
        _mm256_stream_pd(p + 4 * i, a.v[i]);
}
#define SORGUM_F64_OP2(name, op)                                                                   \
    SORGUM_INLINE f64x16 name(f64x16 a, f64x16 b) {                                                \
        return {{op(a.v[0], b.v[0]), op(a.v[1], b.v[1]), op(a.v[2], b.v[2]), op(a.v[3], b.v[3])}}; \
    }
SORGUM_F64_OP2(operator+, _mm256_add_pd)
SORGUM_F64_OP2(operator-, _mm256_sub_pd)
SORGUM_F64_OP2(operator*, _mm256_mul_pd)
SORGUM_F64_OP2(operator/, _mm256_div_pd)
SORGUM_F64_OP2(max, _mm256_max_pd)
SORGUM_F64_OP2(min, _mm256_min_pd)
#undef SORGUM_F64_OP2
SORGUM_INLINE f64x16 fma(f64x16 a, f64x16 b, f64x16 c) {
    return {{_mm256_fmadd_pd(a.v[0], b.v[0], c.v[0]), _mm256_fmadd_pd(a.v[1], b.v[1], c.v[1]),
             _mm256_fmadd_pd(a.v[2], b.v[2], c.v[2]), _mm256_fmadd_pd(a.v[3], b.v[3], c.v[3])}};
}
#define SORGUM_F64_COMPARE(a, b, how)                                                          \
    mask64x16 {                                                                                \
        {                                                                                      \
            _mm256_cmp_pd((a).v[0], (b).v[0], how), _mm256_cmp_pd((a).v[1], (b).v[1], how),    \
                _mm256_cmp_pd((a).v[2], (b).v[2], how), _mm256_cmp_pd((a).v[3], (b).v[3], how) \
        }                                                                                      \
    }
SORGUM_INLINE mask64x16 lt(f64x16 a, f64x16 b) { return SORGUM_F64_COMPARE(a, b, _CMP_LT_OQ); }
SORGUM_INLINE mask64x16 eq(f64x16 a, f64x16 b) { return SORGUM_F64_COMPARE(a, b, _CMP_EQ_OQ); }
SORGUM_INLINE mask64x16 is_nan(f64x16 a) { return SORGUM_F64_COMPARE(a, a, _CMP_UNORD_Q); }
#undef SORGUM_F64_COMPARE
SORGUM_INLINE f64x16 select(mask64x16 m, f64x16 a, f64x16 b) {
    return {{_mm256_blendv_pd(b.v[0], a.v[0], m.v[0]), _mm256_blendv_pd(b.v[1], a.v[1], m.v[1]),
             _mm256_blendv_pd(b.v[2], a.v[2], m.v[2]), _mm256_blendv_pd(b.v[3], a.v[3], m.v[3])}};
}
SORGUM_INLINE f64x16 select_bytes(const void* p, f64x16 a, f64x16 b) {
    const __m128i m = _mm_loadu_si128(static_cast<const __m128i*>(p)), zero = _mm_setzero_si128();
    const __m128i absent = _mm_cmpeq_epi8(m, zero);
    const __m256d m0 = _mm256_castsi256_pd(_mm256_cvtepi8_epi64(absent));
    const __m256d m1 = _mm256_castsi256_pd(_mm256_cvtepi8_epi64(_mm_srli_si128(absent, 4)));
    const __m256d m2 = _mm256_castsi256_pd(_mm256_cvtepi8_epi64(_mm_srli_si128(absent, 8)));
    const __m256d m3 = _mm256_castsi256_pd(_mm256_cvtepi8_epi64(_mm_srli_si128(absent, 12)));
    return {{_mm256_blendv_pd(a.v[0], b.v[0], m0), _mm256_blendv_pd(a.v[1], b.v[1], m1),
             _mm256_blendv_pd(a.v[2], b.v[2], m2), _mm256_blendv_pd(a.v[3], b.v[3], m3)}};
}
SORGUM_INLINE __m256d select_four(__m256i m, __m256i bit, __m256d a, __m256d b) {
    return _mm256_blendv_pd(b, a, _mm256_castsi256_pd(_mm256_cmpeq_epi64(_mm256_and_si256(m, bit), bit)));
}
SORGUM_INLINE f64x16 select_bits(unsigned m, f64x16 a, f64x16 b) {
    const __m256i all = _mm256_set1_epi64x(m);
    return {{select_four(all, _mm256_setr_epi64x(1, 2, 4, 8), a.v[0], b.v[0]),
             select_four(all, _mm256_setr_epi64x(16, 32, 64, 128), a.v[1], b.v[1]),
             select_four(all, _mm256_setr_epi64x(256, 512, 1024, 2048), a.v[2], b.v[2]),
             select_four(all, _mm256_setr_epi64x(4096, 8192, 16384, 32768), a.v[3], b.v[3])}};
}
SORGUM_INLINE f64x16 zero_where(mask64x16 m, f64x16 a) {
    return {{_mm256_andnot_pd(m.v[0], a.v[0]), _mm256_andnot_pd(m.v[1], a.v[1]), _mm256_andnot_pd(m.v[2], a.v[2]),
             _mm256_andnot_pd(m.v[3], a.v[3])}};
}
SORGUM_INLINE bool any(mask64x16 m) {
    return _mm256_movemask_pd(_mm256_or_pd(_mm256_or_pd(m.v[0], m.v[1]), _mm256_or_pd(m.v[2], m.v[3]))) != 0;
}
SORGUM_INLINE bool all(mask64x16 m) {
    return _mm256_movemask_pd(_mm256_and_pd(_mm256_and_pd(m.v[0], m.v[1]), _mm256_and_pd(m.v[2], m.v[3]))) == 0xF;
}
#define SORGUM_MASK64_OP2(name, op)                                                                \
    SORGUM_INLINE mask64x16 name(mask64x16 a, mask64x16 b) {                                       \
        return {{op(a.v[0], b.v[0]), op(a.v[1], b.v[1]), op(a.v[2], b.v[2]), op(a.v[3], b.v[3])}}; \
    }
SORGUM_MASK64_OP2(both, _mm256_and_pd)
SORGUM_MASK64_OP2(either, _mm256_or_pd)
#undef SORGUM_MASK64_OP2
SORGUM_INLINE index_t compress(double* p, mask64x16 m, f64x16 a) {
    index_t n = 0;
    for (int i = 0; i < 4; ++i) {  // a double is a pair of floats
        const auto pairs = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castpd_ps(m.v[i])));
        _mm256_storeu_pd(p + n,
                         _mm256_castps_pd(_mm256_permutevar8x32_ps(_mm256_castpd_ps(a.v[i]), compression(pairs))));
        n += __builtin_popcount(pairs) / 2;
    }
    return n;
}
SORGUM_INLINE i64x16 bits(f64x16 a) {
    return {{_mm256_castpd_si256(a.v[0]), _mm256_castpd_si256(a.v[1]), _mm256_castpd_si256(a.v[2]),
             _mm256_castpd_si256(a.v[3])}};
}
SORGUM_INLINE f64x16 from_bits(i64x16 a) {
    return {{_mm256_castsi256_pd(a.v[0]), _mm256_castsi256_pd(a.v[1]), _mm256_castsi256_pd(a.v[2]),
             _mm256_castsi256_pd(a.v[3])}};
}
template <>
SORGUM_INLINE i64x16 splat_integer<i64x16>(std::int64_t x) {
    const __m256i v = _mm256_set1_epi64x(x);
    return {{v, v, v, v}};
}
#define SORGUM_I64_OP2(name, op)                                                                   \
    SORGUM_INLINE i64x16 name(i64x16 a, i64x16 b) {                                                \
        return {{op(a.v[0], b.v[0]), op(a.v[1], b.v[1]), op(a.v[2], b.v[2]), op(a.v[3], b.v[3])}}; \
    }
SORGUM_I64_OP2(int_add, _mm256_add_epi64)
SORGUM_I64_OP2(int_sub, _mm256_sub_epi64)
SORGUM_I64_OP2(int_and, _mm256_and_si256)
SORGUM_I64_OP2(int_xor, _mm256_xor_si256)
#undef SORGUM_I64_OP2
template <int k>
SORGUM_INLINE i64x16 shift_left(i64x16 a) {
    return {{_mm256_slli_epi64(a.v[0], k), _mm256_slli_epi64(a.v[1], k), _mm256_slli_epi64(a.v[2], k),
             _mm256_slli_epi64(a.v[3], k)}};
}
template <int k>
SORGUM_INLINE i64x16 shift_right(i64x16 a) {
    return {{_mm256_srli_epi64(a.v[0], k), _mm256_srli_epi64(a.v[1], k), _mm256_srli_epi64(a.v[2], k),
             _mm256_srli_epi64(a.v[3], k)}};
}
SORGUM_INLINE i64x16 increment(i64x16 a, mask64x16 m) {
    return int_sub(a, bits(f64x16{{m.v[0], m.v[1], m.v[2], m.v[3]}}));
}
SORGUM_INLINE index_t fold_count(i64x16 a) {
    alignas(32) std::int64_t lane[4];
    const __m256i s = _mm256_add_epi64(_mm256_add_epi64(a.v[0], a.v[1]), _mm256_add_epi64(a.v[2], a.v[3]));
    _mm256_store_si256(reinterpret_cast<__m256i*>(lane), s);
    return lane[0] + lane[1] + lane[2] + lane[3];
}

// ---- between the two ----
// The exponent's bits become the last digits of a large number.
SORGUM_INLINE f32x16 exponent_of(f32x16 a) {
    const f32x16 large = splat<f32x16>(0x1p23f);
    return from_bits(int_add(shift_right<23>(bits(a)), bits(large))) - splat<f32x16>(0x1p23f + 127);
}
SORGUM_INLINE f64x16 exponent_of(f64x16 a) {
    const f64x16 large = splat<f64x16>(0x1p52);
    return from_bits(int_add(shift_right<52>(bits(a)), bits(large))) - splat<f64x16>(0x1p52 + 1023);
}
SORGUM_INLINE f64x16 widen(f32x16 a) {
    return {{_mm256_cvtps_pd(_mm256_castps256_ps128(a.v[0])), _mm256_cvtps_pd(_mm256_extractf128_ps(a.v[0], 1)),
             _mm256_cvtps_pd(_mm256_castps256_ps128(a.v[1])), _mm256_cvtps_pd(_mm256_extractf128_ps(a.v[1], 1))}};
}
SORGUM_INLINE f64x16 load_wide(const float* p) {  // a conversion from memory takes no shuffle
    return {{_mm256_cvtps_pd(_mm_loadu_ps(p)), _mm256_cvtps_pd(_mm_loadu_ps(p + 4)),
             _mm256_cvtps_pd(_mm_loadu_ps(p + 8)), _mm256_cvtps_pd(_mm_loadu_ps(p + 12))}};
}
SORGUM_INLINE f32x16 narrow(f64x16 a) {
    return {{_mm256_set_m128(_mm256_cvtpd_ps(a.v[1]), _mm256_cvtpd_ps(a.v[0])),
             _mm256_set_m128(_mm256_cvtpd_ps(a.v[3]), _mm256_cvtpd_ps(a.v[2]))}};
}
SORGUM_INLINE void store_narrow(float* p, f64x16 a) {
    for (int i = 0; i < 4; ++i)
        _mm_storeu_ps(p + 4 * i, _mm256_cvtpd_ps(a.v[i]));
}

// ---- words ----
// VPMULUDQ multiplies the even lanes; the odd ones are shifted to their place.
SORGUM_INLINE __m256i product_of_even(__m256i a, __m256i b) { return _mm256_mul_epu32(a, b); }
SORGUM_INLINE __m256i product_of_odd(__m256i a, __m256i b) {
    return _mm256_mul_epu32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));
}
SORGUM_INLINE __m256i high_words(__m256i a, __m256i b) {
    return _mm256_blend_epi32(_mm256_srli_epi64(product_of_even(a, b), 32), product_of_odd(a, b), 0xAA);
}
SORGUM_INLINE __m256i low_words(__m256i a, __m256i b) {
    return _mm256_blend_epi32(product_of_even(a, b), _mm256_slli_epi64(product_of_odd(a, b), 32), 0xAA);
}
SORGUM_INLINE i32x16 multiply_high(i32x16 a, i32x16 b) {
    return {{high_words(a.v[0], b.v[0]), high_words(a.v[1], b.v[1])}};
}
SORGUM_INLINE i32x16 multiply_low(i32x16 a, i32x16 b) {
    return {{low_words(a.v[0], b.v[0]), low_words(a.v[1], b.v[1])}};
}
SORGUM_INLINE f32x16 to_float(i32x16 a) { return {{_mm256_cvtepi32_ps(a.v[0]), _mm256_cvtepi32_ps(a.v[1])}}; }
// Two halves of 16 bits, exact each; the multiply-add rounds once.
SORGUM_INLINE __m256 unsigned_to_float8(__m256i a) {
    const __m256 high = _mm256_cvtepi32_ps(_mm256_srli_epi32(a, 16));
    const __m256 low = _mm256_cvtepi32_ps(_mm256_and_si256(a, _mm256_set1_epi32(0xFFFF)));
    return _mm256_fmadd_ps(high, _mm256_set1_ps(65536.0f), low);
}
SORGUM_INLINE f32x16 unsigned_to_float(i32x16 a) { return {{unsigned_to_float8(a.v[0]), unsigned_to_float8(a.v[1])}}; }
SORGUM_INLINE i64x16 zero_extend(i32x16 a) {
    return {{_mm256_cvtepu32_epi64(_mm256_castsi256_si128(a.v[0])),
             _mm256_cvtepu32_epi64(_mm256_extracti128_si256(a.v[0], 1)),
             _mm256_cvtepu32_epi64(_mm256_castsi256_si128(a.v[1])),
             _mm256_cvtepu32_epi64(_mm256_extracti128_si256(a.v[1], 1))}};
}
SORGUM_INLINE i64x16 join(i32x16 a, i32x16 b) { return {{a.v[0], a.v[1], b.v[0], b.v[1]}}; }
template <int k>
SORGUM_INLINE i32x16 shift_right_signed(i32x16 a) {
    return {{_mm256_srai_epi32(a.v[0], k), _mm256_srai_epi32(a.v[1], k)}};
}
SORGUM_INLINE mask32x16 negative(i32x16 a) {
    const i32x16 sign = shift_right_signed<31>(a);
    return {{_mm256_castsi256_ps(sign.v[0]), _mm256_castsi256_ps(sign.v[1])}};
}
SORGUM_INLINE void transpose_quads(i32x16* rows) {
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
        const __m256i lo01 = _mm256_unpacklo_epi32(rows[0].v[h], rows[1].v[h]);
        const __m256i hi01 = _mm256_unpackhi_epi32(rows[0].v[h], rows[1].v[h]);
        const __m256i lo23 = _mm256_unpacklo_epi32(rows[2].v[h], rows[3].v[h]);
        const __m256i hi23 = _mm256_unpackhi_epi32(rows[2].v[h], rows[3].v[h]);
        rows[0].v[h] = _mm256_unpacklo_epi64(lo01, lo23);
        rows[1].v[h] = _mm256_unpackhi_epi64(lo01, lo23);
        rows[2].v[h] = _mm256_unpacklo_epi64(hi01, hi23);
        rows[3].v[h] = _mm256_unpackhi_epi64(hi01, hi23);
    }
}

// ---- windows over two vectors ----
// Words `first` to `first` + 7 of the 16 words of a and b.
SORGUM_INLINE __m256 words_from(__m256 a, __m256 b, int first) {
    const __m256i from = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(first));
    const __m256 in_b = _mm256_castsi256_ps(_mm256_cmpgt_epi32(from, _mm256_set1_epi32(7)));
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(a, from), _mm256_permutevar8x32_ps(b, from), in_b);
}
SORGUM_INLINE f32x16 slide(f32x16 a, f32x16 b, index_t n) {
    if (n == 0)
        return b;
    const int first = static_cast<int>(16 - n) % 8;
    if (n <= 8)
        return {{words_from(a.v[1], b.v[0], first), words_from(b.v[0], b.v[1], first)}};
    return {{words_from(a.v[0], a.v[1], first), words_from(a.v[1], b.v[0], first)}};
}
SORGUM_INLINE f64x16 slide(f64x16 a, f64x16 b, index_t n) {
    if (n == 0)
        return b;
    const __m256d parts[8] = {a.v[0], a.v[1], a.v[2], a.v[3], b.v[0], b.v[1], b.v[2], b.v[3]};
    const __m256d* const p = parts + (16 - n) / 4;
    const int first = 2 * (static_cast<int>(16 - n) % 4);
    f64x16 out;
    for (int k = 0; k < 4; ++k)
        out.v[k] = _mm256_castps_pd(words_from(_mm256_castpd_ps(p[k]), _mm256_castpd_ps(p[k + 1]), first));
    return out;
}

// ---- every other lane of two vectors, and back: in parts of 128 bits, whose middle halves change places ----
#define SORGUM_EVERY_OTHER_F32(name, which)                                                                            \
    SORGUM_INLINE f32x16 name(f32x16 a, f32x16 b) {                                                                    \
        const __m256d x = _mm256_castps_pd(_mm256_shuffle_ps(a.v[0], a.v[1], which));                                  \
        const __m256d y = _mm256_castps_pd(_mm256_shuffle_ps(b.v[0], b.v[1], which));                                  \
        return {{_mm256_castpd_ps(_mm256_permute4x64_pd(x, 0xD8)), _mm256_castpd_ps(_mm256_permute4x64_pd(y, 0xD8))}}; \
    }
SORGUM_EVERY_OTHER_F32(even_lanes, 0x88)
SORGUM_EVERY_OTHER_F32(odd_lanes, 0xDD)
#undef SORGUM_EVERY_OTHER_F32
#define SORGUM_EVERY_OTHER_F64(name, unpack)                            \
    SORGUM_INLINE f64x16 name(f64x16 a, f64x16 b) {                     \
        return {{_mm256_permute4x64_pd(unpack(a.v[0], a.v[1]), 0xD8),   \
                 _mm256_permute4x64_pd(unpack(a.v[2], a.v[3]), 0xD8),   \
                 _mm256_permute4x64_pd(unpack(b.v[0], b.v[1]), 0xD8),   \
                 _mm256_permute4x64_pd(unpack(b.v[2], b.v[3]), 0xD8)}}; \
    }
SORGUM_EVERY_OTHER_F64(even_lanes, _mm256_unpacklo_pd)
SORGUM_EVERY_OTHER_F64(odd_lanes, _mm256_unpackhi_pd)
#undef SORGUM_EVERY_OTHER_F64
#define SORGUM_ZIP(name, half)                                                      \
    SORGUM_INLINE f32x16 name(f32x16 a, f32x16 b) {                                 \
        const __m256d x = _mm256_permute4x64_pd(_mm256_castps_pd(a.v[half]), 0xD8); \
        const __m256d y = _mm256_permute4x64_pd(_mm256_castps_pd(b.v[half]), 0xD8); \
        return {{_mm256_unpacklo_ps(_mm256_castpd_ps(x), _mm256_castpd_ps(y)),      \
                 _mm256_unpackhi_ps(_mm256_castpd_ps(x), _mm256_castpd_ps(y))}};    \
    }                                                                               \
    SORGUM_INLINE f64x16 name(f64x16 a, f64x16 b) {                                 \
        f64x16 out;                                                                 \
        for (int k = 0; k < 2; ++k) {                                               \
            const __m256d x = _mm256_permute4x64_pd(a.v[2 * half + k], 0xD8);       \
            const __m256d y = _mm256_permute4x64_pd(b.v[2 * half + k], 0xD8);       \
            out.v[2 * k] = _mm256_unpacklo_pd(x, y);                                \
            out.v[2 * k + 1] = _mm256_unpackhi_pd(x, y);                            \
        }                                                                           \
        return out;                                                                 \
    }
SORGUM_ZIP(zip_low, 0)
SORGUM_ZIP(zip_high, 1)
#undef SORGUM_ZIP

// ---- folds by halves: lane i with lane i + 8, then 4, 2, 1; 16 rows at once while they are transposed ----
#define SORGUM_FOLD_ROWS_F32(name, op)                                                                     \
    SORGUM_INLINE __m256 name##_halves(f32x16 a, f32x16 b) {                                               \
        const __m256 x = op(a.v[0], a.v[1]), y = op(b.v[0], b.v[1]);                                       \
        return op(_mm256_permute2f128_ps(x, y, 0x20), _mm256_permute2f128_ps(x, y, 0x31));                 \
    }                                                                                                      \
    SORGUM_INLINE __m256 name##_pairs(__m256 a, __m256 b) {                                                \
        const __m256d x = _mm256_castps_pd(a), y = _mm256_castps_pd(b);                                    \
        return op(_mm256_castpd_ps(_mm256_unpacklo_pd(x, y)), _mm256_castpd_ps(_mm256_unpackhi_pd(x, y))); \
    }                                                                                                      \
    SORGUM_INLINE __m256 name##_eight(const f32x16* r) {                                                   \
        const __m256 x = name##_pairs(name##_halves(r[0], r[4]), name##_halves(r[1], r[5]));               \
        const __m256 y = name##_pairs(name##_halves(r[2], r[6]), name##_halves(r[3], r[7]));               \
        return op(_mm256_shuffle_ps(x, y, 0x88), _mm256_shuffle_ps(x, y, 0xDD));                           \
    }                                                                                                      \
    SORGUM_INLINE f32x16 name##_rows(const f32x16* r) { return {{name##_eight(r), name##_eight(r + 8)}}; } \
    SORGUM_INLINE float name(f32x16 a) {                                                                   \
        const __m256 e = op(a.v[0], a.v[1]);                                                               \
        const __m256 q = op(e, _mm256_permute2f128_ps(e, e, 0x11));                                        \
        const __m256 p = op(q, _mm256_permute_ps(q, 0xEE));                                                \
        return _mm256_cvtss_f32(op(p, _mm256_permute_ps(p, 0x55)));                                        \
    }
SORGUM_FOLD_ROWS_F32(fold_max, _mm256_max_ps)
SORGUM_FOLD_ROWS_F32(fold_sum, _mm256_add_ps)
#undef SORGUM_FOLD_ROWS_F32

#define SORGUM_FOLD_ROWS_F64(name, op)                                                                 \
    SORGUM_INLINE __m256d name##_four(f64x16 a) { return op(op(a.v[0], a.v[2]), op(a.v[1], a.v[3])); } \
    SORGUM_INLINE __m256d name##_pairs(f64x16 a, f64x16 b) {                                           \
        const __m256d x = name##_four(a), y = name##_four(b);                                          \
        return op(_mm256_permute2f128_pd(x, y, 0x20), _mm256_permute2f128_pd(x, y, 0x31));             \
    }                                                                                                  \
    SORGUM_INLINE __m256d name##_quad(const f64x16* r) {                                               \
        const __m256d x = name##_pairs(r[0], r[2]), y = name##_pairs(r[1], r[3]);                      \
        return op(_mm256_unpacklo_pd(x, y), _mm256_unpackhi_pd(x, y));                                 \
    }                                                                                                  \
    SORGUM_INLINE f64x16 name##_rows(const f64x16* r) {                                                \
        return {{name##_quad(r), name##_quad(r + 4), name##_quad(r + 8), name##_quad(r + 12)}};        \
    }                                                                                                  \
    SORGUM_INLINE double name(f64x16 a) {                                                              \
        const __m256d q = name##_four(a);                                                              \
        const __m256d p = op(q, _mm256_permute2f128_pd(q, q, 0x11));                                   \
        return _mm256_cvtsd_f64(op(p, _mm256_permute_pd(p, 0x5)));                                     \
    }
SORGUM_FOLD_ROWS_F64(fold_max, _mm256_max_pd)
SORGUM_FOLD_ROWS_F64(fold_sum, _mm256_add_pd)
#undef SORGUM_FOLD_ROWS_F64

// ---- transposes: lane j of rows[i] with lane i of rows[j], by blocks of 8 x 8 (float64: 4 x 4) ----
SORGUM_INLINE void transpose_eight(const __m256* r, __m256* out) {
    __m256 t[8];
#pragma GCC unroll 2
    for (int g = 0; g < 8; g += 4) {
        const __m256d lo01 = _mm256_castps_pd(_mm256_unpacklo_ps(r[g], r[g + 1]));
        const __m256d hi01 = _mm256_castps_pd(_mm256_unpackhi_ps(r[g], r[g + 1]));
        const __m256d lo23 = _mm256_castps_pd(_mm256_unpacklo_ps(r[g + 2], r[g + 3]));
        const __m256d hi23 = _mm256_castps_pd(_mm256_unpackhi_ps(r[g + 2], r[g + 3]));
        t[g] = _mm256_castpd_ps(_mm256_unpacklo_pd(lo01, lo23));
        t[g + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(lo01, lo23));
        t[g + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(hi01, hi23));
        t[g + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(hi01, hi23));
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
        out[c] = _mm256_permute2f128_ps(t[c], t[4 + c], 0x20);
        out[4 + c] = _mm256_permute2f128_ps(t[c], t[4 + c], 0x31);
    }
}
SORGUM_INLINE void transpose(f32x16* rows) {
    __m256 part[4][8], out[4][8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
        part[0][i] = rows[i].v[0];
        part[1][i] = rows[i].v[1];
        part[2][i] = rows[i + 8].v[0];
        part[3][i] = rows[i + 8].v[1];
    }
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q)
        transpose_eight(part[q], out[q]);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
        rows[i] = {{out[0][i], out[2][i]}};
        rows[i + 8] = {{out[1][i], out[3][i]}};
    }
}
SORGUM_INLINE void transpose_four(__m256d a, __m256d b, __m256d c, __m256d d, __m256d* out) {
    const __m256d ab0 = _mm256_unpacklo_pd(a, b), ab1 = _mm256_unpackhi_pd(a, b);
    const __m256d cd0 = _mm256_unpacklo_pd(c, d), cd1 = _mm256_unpackhi_pd(c, d);
    out[0] = _mm256_permute2f128_pd(ab0, cd0, 0x20);
    out[1] = _mm256_permute2f128_pd(ab1, cd1, 0x20);
    out[2] = _mm256_permute2f128_pd(ab0, cd0, 0x31);
    out[3] = _mm256_permute2f128_pd(ab1, cd1, 0x31);
}
SORGUM_INLINE void transpose(f64x16* rows) {
    f64x16 result[16];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) {
            __m256d block[4];
            transpose_four(rows[4 * i].v[j], rows[4 * i + 1].v[j], rows[4 * i + 2].v[j], rows[4 * i + 3].v[j], block);
            for (int k = 0; k < 4; ++k)
                result[4 * j + k].v[i] = block[k];
        }
    for (int i = 0; i < 16; ++i)
        rows[i] = result[i];
}

SORGUM_INLINE void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
SORGUM_INLINE void prefetch_second(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }
SORGUM_INLINE void stream_fence() { _mm_sfence(); }

// ---- half types. bfloat16 by integers: the instructions for it flush subnormals ----
SORGUM_INLINE f32x16 load_half(const float16* p) {
    const __m128i* const at = reinterpret_cast<const __m128i*>(p);
    return {{_mm256_cvtph_ps(_mm_loadu_si128(at)), _mm256_cvtph_ps(_mm_loadu_si128(at + 1))}};
}
SORGUM_INLINE __m256i half_bits(f32x16 a, float16) {
    return _mm256_set_m128i(_mm256_cvtps_ph(a.v[1], _MM_FROUND_TO_NEAREST_INT),
                            _mm256_cvtps_ph(a.v[0], _MM_FROUND_TO_NEAREST_INT));
}
SORGUM_INLINE f32x16 load_upper(const bfloat16* p) {  // a NaN as it is
    const __m128i* const at = reinterpret_cast<const __m128i*>(p);
    return {{_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(at)), 16)),
             _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(at + 1)), 16))}};
}
SORGUM_INLINE f32x16 load_half(const bfloat16* p) {
    f32x16 x = load_upper(p);
    for (__m256& some : x.v) {
        const __m256 nan = _mm256_cmp_ps(some, some, _CMP_UNORD_Q);
        some = _mm256_or_ps(some, _mm256_and_ps(nan, _mm256_castsi256_ps(_mm256_set1_epi32(0x400000))));
    }
    return x;
}
SORGUM_INLINE f64x16 load_half_wide(const float16* p) { return widen(load_half(p)); }
SORGUM_INLINE f64x16 load_half_wide(const bfloat16* p) { return widen(load_upper(p)); }  // that makes NaN quiet
SORGUM_INLINE __m256i rounded_half(__m256i x) {
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(x, 16), _mm256_set1_epi32(1));
    return _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(x, _mm256_set1_epi32(0x7FFF)), odd), 16);
}
SORGUM_INLINE __m256i packed_halves(__m256i lower, __m256i upper) {
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(lower, upper), 0xD8);
}
SORGUM_INLINE __m256i half_bits(f32x16 a, bfloat16) {
    __m256i half[2];
    for (int k = 0; k < 2; ++k) {
        const __m256i x = _mm256_castps_si256(a.v[k]);
        const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a.v[k], a.v[k], _CMP_UNORD_Q));
        const __m256i quiet = _mm256_or_si256(_mm256_srli_epi32(x, 16), _mm256_set1_epi32(0x40));
        half[k] = _mm256_blendv_epi8(rounded_half(x), quiet, nan);
    }
    return packed_halves(half[0], half[1]);
}
template <class H>
SORGUM_INLINE void store_half(H* p, f32x16 a) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), half_bits(a, H()));
}
SORGUM_INLINE void store_half_canonical(float16* p, f32x16 a) { store_half(p, a); }
SORGUM_INLINE void store_half_canonical(bfloat16* p, f32x16 a) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), packed_halves(rounded_half(_mm256_castps_si256(a.v[0])),
                                                                     rounded_half(_mm256_castps_si256(a.v[1]))));
}
template <class H>
SORGUM_INLINE void stream_half(H* p, f32x16 a, f32x16 b) {
    __m256i* const at = reinterpret_cast<__m256i*>(p);
    _mm256_stream_si256(at, half_bits(a, H()));
    _mm256_stream_si256(at + 1, half_bits(b, H()));
}

// A tile of a product: 12 of the 16 registers hold sums, the others a vector of one operand and an element of the
// other.
template <class T>
struct ProductTile;
template <>
struct ProductTile<float> {
    static constexpr int rows = 6, vectors = 1;
};
template <>
struct ProductTile<double> {
    static constexpr int rows = 3, vectors = 1;
};

SORGUM_ISA_END
