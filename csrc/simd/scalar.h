// 16 lanes in plain C++, each the operation of math/lane.h: the reference for the bits of the other back ends.
#pragma once

#include "core/types.h"
#include "math/half.h"
#include "math/lane.h"

SORGUM_ISA_BEGIN

inline constexpr int kRegisters = 16;

template <class E>
struct lanes16 {
    E v[16];
};
using f32x16 = lanes16<float>;
using f64x16 = lanes16<double>;
using i32x16 = lanes16<std::int32_t>;
using i64x16 = lanes16<std::int64_t>;
using mask16 = lanes16<bool>;

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

// An operation is a loop and a function of its own.
#define SORGUM_LANEWISE [[maybe_unused]] SORGUM_NOINLINE inline

template <class R, class F>
SORGUM_INLINE R each_lane(F&& f) {
    R r;
    for (int i = 0; i < 16; ++i)
        r.v[i] = f(i);
    return r;
}

#define SORGUM_FLOAT_OPS(V, E, I)                                                          \
    template <>                                                                            \
    SORGUM_LANEWISE V splat<V>(E x) {                                                      \
        return each_lane<V>([&](int) { return x; });                                       \
    }                                                                                      \
    SORGUM_LANEWISE V load(const E* p) {                                                   \
        return each_lane<V>([&](int i) { return p[i]; });                                  \
    }                                                                                      \
    SORGUM_LANEWISE V gather(const E* p, const std::int32_t* index) {                      \
        return each_lane<V>([&](int i) { return p[index[i]]; });                           \
    }                                                                                      \
    SORGUM_LANEWISE V load_first(const E* p, index_t n, E fill) {                          \
        return each_lane<V>([&](int i) { return i < n ? p[i] : fill; });                   \
    }                                                                                      \
    SORGUM_LANEWISE void store(E* p, V a) {                                                \
        for (int i = 0; i < 16; ++i)                                                       \
            p[i] = a.v[i];                                                                 \
    }                                                                                      \
    SORGUM_LANEWISE void store_first(E* p, V a, index_t n) {                               \
        for (int i = 0; i < 16 && i < n; ++i)                                              \
            p[i] = a.v[i];                                                                 \
    }                                                                                      \
    SORGUM_LANEWISE void stream(E* p, V a) { store(p, a); }                                \
    SORGUM_LANEWISE V operator+(V a, V b) {                                                \
        return each_lane<V>([&](int i) { return a.v[i] + b.v[i]; });                       \
    }                                                                                      \
    SORGUM_LANEWISE V operator-(V a, V b) {                                                \
        return each_lane<V>([&](int i) { return a.v[i] - b.v[i]; });                       \
    }                                                                                      \
    SORGUM_LANEWISE V operator*(V a, V b) {                                                \
        return each_lane<V>([&](int i) { return a.v[i] * b.v[i]; });                       \
    }                                                                                      \
    SORGUM_LANEWISE V operator/(V a, V b) {                                                \
        return each_lane<V>([&](int i) { return a.v[i] / b.v[i]; });                       \
    }                                                                                      \
    SORGUM_LANEWISE V fma(V a, V b, V c) {                                                 \
        return each_lane<V>([&](int i) { return fma(a.v[i], b.v[i], c.v[i]); });           \
    }                                                                                      \
    SORGUM_LANEWISE V max(V a, V b) {                                                      \
        return each_lane<V>([&](int i) { return max(a.v[i], b.v[i]); });                   \
    }                                                                                      \
    SORGUM_LANEWISE V min(V a, V b) {                                                      \
        return each_lane<V>([&](int i) { return min(a.v[i], b.v[i]); });                   \
    }                                                                                      \
    SORGUM_LANEWISE mask16 lt(V a, V b) {                                                  \
        return each_lane<mask16>([&](int i) { return a.v[i] < b.v[i]; });                  \
    }                                                                                      \
    SORGUM_LANEWISE mask16 eq(V a, V b) {                                                  \
        return each_lane<mask16>([&](int i) { return a.v[i] == b.v[i]; });                 \
    }                                                                                      \
    SORGUM_LANEWISE mask16 is_nan(V a) {                                                   \
        return each_lane<mask16>([&](int i) { return a.v[i] != a.v[i]; });                 \
    }                                                                                      \
    SORGUM_LANEWISE V select(mask16 m, V a, V b) {                                         \
        return each_lane<V>([&](int i) { return m.v[i] ? a.v[i] : b.v[i]; });              \
    }                                                                                      \
    SORGUM_LANEWISE V select_bytes(const void* p, V a, V b) {                              \
        const auto* m = static_cast<const unsigned char*>(p);                              \
        return each_lane<V>([&](int i) { return m[i] != 0 ? a.v[i] : b.v[i]; });           \
    }                                                                                      \
    SORGUM_LANEWISE V select_bits(unsigned m, V a, V b) {                                  \
        return each_lane<V>([&](int i) { return (m >> i & 1) != 0 ? a.v[i] : b.v[i]; });   \
    }                                                                                      \
    SORGUM_LANEWISE V slide(V a, V b, index_t n) {                                         \
        return each_lane<V>([&](int i) { return i < n ? a.v[16 - n + i] : b.v[i - n]; });  \
    }                                                                                      \
    SORGUM_LANEWISE V even_lanes(V a, V b) {                                               \
        return each_lane<V>([&](int i) { return (i < 8 ? a : b).v[2 * i % 16]; });         \
    }                                                                                      \
    SORGUM_LANEWISE V odd_lanes(V a, V b) {                                                \
        return each_lane<V>([&](int i) { return (i < 8 ? a : b).v[2 * i % 16 + 1]; });     \
    }                                                                                      \
    SORGUM_LANEWISE V zip_low(V a, V b) {                                                  \
        return each_lane<V>([&](int i) { return (i % 2 == 0 ? a : b).v[i / 2]; });         \
    }                                                                                      \
    SORGUM_LANEWISE V zip_high(V a, V b) {                                                 \
        return each_lane<V>([&](int i) { return (i % 2 == 0 ? a : b).v[8 + i / 2]; });     \
    }                                                                                      \
    SORGUM_LANEWISE index_t compress(E* p, mask16 m, V a) {                                \
        index_t n = 0;                                                                     \
        for (int i = 0; i < 16; ++i) {                                                     \
            p[n] = a.v[i];                                                                 \
            n += m.v[i] ? 1 : 0;                                                           \
        }                                                                                  \
        return n;                                                                          \
    }                                                                                      \
    SORGUM_LANEWISE V zero_where(mask16 m, V a) {                                          \
        return each_lane<V>([&](int i) { return m.v[i] ? E(0) : a.v[i]; });                \
    }                                                                                      \
    SORGUM_LANEWISE V exponent_of(V a) {                                                   \
        return each_lane<V>([&](int i) { return exponent_of(a.v[i]); });                   \
    }                                                                                      \
    SORGUM_LANEWISE I bits(V a) {                                                          \
        return each_lane<I>([&](int i) { return bits(a.v[i]); });                          \
    }                                                                                      \
    SORGUM_LANEWISE V from_bits(I a) {                                                     \
        return each_lane<V>([&](int i) { return from_bits(a.v[i]); });                     \
    }                                                                                      \
    template <>                                                                            \
    SORGUM_LANEWISE I splat_integer<I>(std::int64_t x) {                                   \
        return each_lane<I>([&](int) { return splat_integer<decltype(I::v[0] + 0)>(x); }); \
    }                                                                                      \
    SORGUM_LANEWISE I int_add(I a, I b) {                                                  \
        return each_lane<I>([&](int i) { return int_add(a.v[i], b.v[i]); });               \
    }                                                                                      \
    SORGUM_LANEWISE I int_sub(I a, I b) {                                                  \
        return each_lane<I>([&](int i) { return int_sub(a.v[i], b.v[i]); });               \
    }                                                                                      \
    SORGUM_LANEWISE I int_and(I a, I b) {                                                  \
        return each_lane<I>([&](int i) { return a.v[i] & b.v[i]; });                       \
    }                                                                                      \
    SORGUM_LANEWISE I int_xor(I a, I b) {                                                  \
        return each_lane<I>([&](int i) { return a.v[i] ^ b.v[i]; });                       \
    }                                                                                      \
    template <int k>                                                                       \
    SORGUM_LANEWISE I shift_left(I a) {                                                    \
        return each_lane<I>([&](int i) { return shift_left<k>(a.v[i]); });                 \
    }                                                                                      \
    template <int k>                                                                       \
    SORGUM_LANEWISE I shift_right(I a) {                                                   \
        return each_lane<I>([&](int i) { return shift_right<k>(a.v[i]); });                \
    }                                                                                      \
    SORGUM_LANEWISE I increment(I a, mask16 m) {                                           \
        return each_lane<I>([&](int i) { return a.v[i] + (m.v[i] ? 1 : 0); });             \
    }                                                                                      \
    SORGUM_LANEWISE index_t fold_count(I a) {                                              \
        index_t sum = 0;                                                                   \
        for (int i = 0; i < 16; ++i)                                                       \
            sum += a.v[i];                                                                 \
        return sum;                                                                        \
    }                                                                                      \
    SORGUM_LANEWISE E fold_max(V a) {                                                      \
        for (int half = 8; half > 0; half /= 2)                                            \
            for (int i = 0; i < half; ++i)                                                 \
                a.v[i] = max(a.v[i], a.v[i + half]);                                       \
        return a.v[0];                                                                     \
    }                                                                                      \
    SORGUM_LANEWISE E fold_sum(V a) {                                                      \
        for (int half = 8; half > 0; half /= 2)                                            \
            for (int i = 0; i < half; ++i)                                                 \
                a.v[i] = a.v[i] + a.v[i + half];                                           \
        return a.v[0];                                                                     \
    }                                                                                      \
    SORGUM_LANEWISE V fold_max_rows(const V* rows) {                                       \
        return each_lane<V>([&](int i) { return fold_max(rows[i]); });                     \
    }                                                                                      \
    SORGUM_LANEWISE V fold_sum_rows(const V* rows) {                                       \
        return each_lane<V>([&](int i) { return fold_sum(rows[i]); });                     \
    }                                                                                      \
    SORGUM_LANEWISE void transpose(V* rows) {                                              \
        for (int i = 0; i < 16; ++i)                                                       \
            for (int j = 0; j < i; ++j) {                                                  \
                const E e = rows[i].v[j];                                                  \
                rows[i].v[j] = rows[j].v[i];                                               \
                rows[j].v[i] = e;                                                          \
            }                                                                              \
    }

SORGUM_FLOAT_OPS(f32x16, float, i32x16)
SORGUM_FLOAT_OPS(f64x16, double, i64x16)
#undef SORGUM_FLOAT_OPS

SORGUM_LANEWISE bool any(mask16 m) {
    for (int i = 0; i < 16; ++i)
        if (m.v[i])
            return true;
    return false;
}
SORGUM_LANEWISE bool all(mask16 m) {
    for (int i = 0; i < 16; ++i)
        if (!m.v[i])
            return false;
    return true;
}
SORGUM_LANEWISE mask16 both(mask16 a, mask16 b) {
    return each_lane<mask16>([&](int i) { return a.v[i] && b.v[i]; });
}
SORGUM_LANEWISE mask16 either(mask16 a, mask16 b) {
    return each_lane<mask16>([&](int i) { return a.v[i] || b.v[i]; });
}
SORGUM_LANEWISE f64x16 widen(f32x16 a) {
    return each_lane<f64x16>([&](int i) { return static_cast<double>(a.v[i]); });
}
SORGUM_LANEWISE f64x16 load_wide(const float* p) {
    return each_lane<f64x16>([&](int i) { return static_cast<double>(p[i]); });
}
SORGUM_LANEWISE f32x16 narrow(f64x16 a) {
    return each_lane<f32x16>([&](int i) { return static_cast<float>(a.v[i]); });
}
SORGUM_LANEWISE void store_narrow(float* p, f64x16 a) { store(p, narrow(a)); }

// ---- words ----
SORGUM_LANEWISE i32x16 multiply_high(i32x16 a, i32x16 b) {
    return each_lane<i32x16>([&](int i) { return multiply_high(a.v[i], b.v[i]); });
}
template <const auto& table>
SORGUM_LANEWISE i32x16 pick(i32x16 a) {
    return each_lane<i32x16>([&](int i) { return pick<table>(a.v[i]); });
}
SORGUM_LANEWISE i32x16 multiply_low(i32x16 a, i32x16 b) {
    return each_lane<i32x16>([&](int i) { return multiply_low(a.v[i], b.v[i]); });
}
SORGUM_LANEWISE f32x16 to_float(i32x16 a) {
    return each_lane<f32x16>([&](int i) { return to_float(a.v[i]); });
}
SORGUM_LANEWISE f32x16 unsigned_to_float(i32x16 a) {
    return each_lane<f32x16>([&](int i) { return unsigned_to_float(a.v[i]); });
}
SORGUM_LANEWISE i64x16 zero_extend(i32x16 a) {
    return each_lane<i64x16>([&](int i) { return zero_extend(a.v[i]); });
}
SORGUM_LANEWISE i64x16 join(i32x16 a, i32x16 b) {
    return each_lane<i64x16>([&](int i) {
        const std::int32_t* const pair = i < 8 ? a.v + 2 * i : b.v + 2 * (i - 8);
        return zero_extend(pair[0]) | shift_left<32>(zero_extend(pair[1]));
    });
}
template <int k>
SORGUM_LANEWISE i32x16 shift_right_signed(i32x16 a) {
    return each_lane<i32x16>([&](int i) { return shift_right_signed<k>(a.v[i]); });
}
SORGUM_LANEWISE mask16 negative(i32x16 a) {
    return each_lane<mask16>([&](int i) { return negative(a.v[i]); });
}
SORGUM_LANEWISE void transpose_quads(i32x16* rows) {
    for (int q = 0; q < 16; q += 4)
        for (int i = 0; i < 4; ++i)
            for (int j = 0; j < i; ++j) {
                const std::int32_t word = rows[i].v[q + j];
                rows[i].v[q + j] = rows[j].v[q + i];
                rows[j].v[q + i] = word;
            }
}

SORGUM_LANEWISE void prefetch(const void*) {}
SORGUM_LANEWISE void prefetch_second(const void*) {}
SORGUM_LANEWISE void stream_fence() {}

SORGUM_LANEWISE f32x16 load_half(const float16* p) {
    return each_lane<f32x16>([&](int i) { return widen_half(p[i]); });
}
SORGUM_LANEWISE f32x16 load_half(const bfloat16* p) {
    return each_lane<f32x16>([&](int i) { return widen_half(p[i]); });
}
template <class H>
SORGUM_LANEWISE f64x16 load_half_wide(const H* p) {
    return widen(load_half(p));
}
SORGUM_LANEWISE void store_half(float16* p, f32x16 a) {
    for (int i = 0; i < 16; ++i)
        p[i] = narrow_to_float16(a.v[i]);
}
SORGUM_LANEWISE void store_half(bfloat16* p, f32x16 a) {
    for (int i = 0; i < 16; ++i)
        p[i] = narrow_to_bfloat16(a.v[i]);
}
template <class H>
SORGUM_LANEWISE void store_half_canonical(H* p, f32x16 a) {
    store_half(p, a);
}
template <class H>
SORGUM_LANEWISE void stream_half(H* p, f32x16 a, f32x16 b) {
    store_half(p, a);
    store_half(p + 16, b);
}

// A tile of a product: how many rows and vectors of sums a kernel keeps at a time. No bit depends on it.
template <class T>
struct ProductTile;
template <>
struct ProductTile<float> {
    static constexpr int rows = 4, vectors = 1;
};
template <>
struct ProductTile<double> {
    static constexpr int rows = 4, vectors = 1;
};

SORGUM_ISA_END
