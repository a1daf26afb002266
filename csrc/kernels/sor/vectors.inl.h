#pragma once

#include "kernels/sor/vectors.h"
#include "simd/simd.h"

SORGUM_ISA_BEGIN

using namespace sorgum::sor;

template <bool has_d, bool has_y, class T>
SORGUM_INLINE void combine_vectors(T a, const T* d, const T* x, T b, const T* y, T* out, index_t n) {
    using V = vec<T>;
    const V va = splat<V>(a), vb = splat<V>(b);
    const auto combined = [&](auto&& at) SORGUM_LAMBDA {
        const V factor = has_d ? va * at(d) : va;
        return has_y ? fma(factor, at(x), vb * at(y)) : factor * at(x);
    };
    index_t i = 0;
    for (; i + kLanes <= n; i += kLanes)
        store(out + i, combined([&](const T* v) SORGUM_LAMBDA { return load(v + i); }));
    if (i < n)
        store_first(out + i, combined([&](const T* v) SORGUM_LAMBDA { return load_first(v + i, n - i, T(0)); }), n - i);
}

template <class T>
void combine_kernel(T a, const T* d, const T* x, T b, const T* y, T* out, index_t n) {
    if (d == nullptr && y == nullptr)
        combine_vectors<false, false>(a, d, x, b, y, out, n);
    else if (d == nullptr)
        combine_vectors<false, true>(a, d, x, b, y, out, n);
    else if (y == nullptr)
        combine_vectors<true, false>(a, d, x, b, y, out, n);
    else
        combine_vectors<true, true>(a, d, x, b, y, out, n);
}

SORGUM_ISA_END
