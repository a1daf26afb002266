#pragma once

#include "kernels/sor/packed.h"
#include "kernels/sor/stencil.inl.h"
#include "simd/simd.h"

SORGUM_ISA_BEGIN

using namespace sorgum::sor;

// known: the number of terms, or 0 if it is any.
template <int known, class T>
SORGUM_INLINE void relax_packed(const PackedRow<T>& row) {
    using V = vec<T>;
    constexpr int most = known == 0 ? kMostNeighbours : known;
    const index_t count = known == 0 ? row.count : known, points = row.points;
    const T* term[most];
    V c[most];
#pragma GCC unroll 8
    for (index_t k = 0; k < count; ++k) {
        term[k] = row.term[k];
        c[k] = splat<V>(row.c[k]);
    }
    T* const u = row.u;
    const T* const f = row.f;
    const V factor = splat<V>(row.factor), rest = splat<V>(row.rest);
    const auto relaxed = [&](index_t i, auto at) SORGUM_LAMBDA {
        V s = splat<V>(T(0));
#pragma GCC unroll 8
        for (index_t k = 0; k < count; ++k)
            s = fma(c[k], at(term[k] + i), s);
        return fma(factor, at(f + i) - s, rest * at(u + i));
    };
    const index_t begin = before_line(u, points);
    if (begin > 0)
        store_first(u, relaxed(0, FirstLanes{begin}), begin);
    index_t i = begin;
    for (; i + kLanes <= points; i += kLanes)
        store(u + i, relaxed(i, WholeVector()));
    if (i < points)
        store_first(u + i, relaxed(i, FirstLanes{points - i}), points - i);
}

template <class T>
void packed_sweep_kernel(const PackedRow<T>& row) {
    if (row.count == 4)  // five points of a plane
        relax_packed<4>(row);
    else if (row.count == 6)  // seven of a room
        relax_packed<6>(row);
    else
        relax_packed<0>(row);
}

template <class T>
void packed_split_kernel(const T* from, index_t n, index_t ahead, T* even, T* odd) {
    index_t i = 0;
    for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
        const vec<T> a = load(from + i), b = load(from + i + kLanes);
        for (index_t k = 0; k < 2 * kLanes; k += 64 / index_t(sizeof(T)))
            prefetch_second(from + ahead + i + k);
        store(even + i / 2, even_lanes(a, b));
        store(odd + i / 2, odd_lanes(a, b));
    }
    const vec<T> a = load_first(from + i, n - i, T(0)), b = load_first(from + i + kLanes, n - i - kLanes, T(0));
    store_first(even + i / 2, even_lanes(a, b), (n - i + 1) / 2);
    store_first(odd + i / 2, odd_lanes(a, b), (n - i) / 2);
}

template <class T>
void packed_join_kernel(const T* even, const T* odd, index_t n, T* to) {
    index_t i = 0;
    for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
        const vec<T> a = load(even + i / 2), b = load(odd + i / 2);
        store(to + i, zip_low(a, b));
        store(to + i + kLanes, zip_high(a, b));
    }
    const vec<T> a = load_first(even + i / 2, (n - i + 1) / 2, T(0)), b = load_first(odd + i / 2, (n - i) / 2, T(0));
    store_first(to + i, zip_low(a, b), n - i);
    store_first(to + i + kLanes, zip_high(a, b), n - i - kLanes);
}

SORGUM_ISA_END
