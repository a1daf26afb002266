#pragma once

#include "kernels/common/elementwise.inl.h"
#include "kernels/linalg/magnitude.h"
#include "math/format.h"

SORGUM_ISA_BEGIN

template <class T>
computed_t<T> largest_magnitude_kernel(const T* x, index_t n) {
    using C = computed_t<T>;
    using V = vec<C>;
    constexpr int several = 4;
    const auto but_sign = splat_integer<integer_t<V>>(Format<C>::infinity | (Format<C>::infinity - 1));
    V largest[several], spoilt = splat<V>(0);  // the latter NaN where an element is NaN or infinite
    for (V& some : largest)
        some = splat<V>(0);
    const auto take = [&](V v, V& some) SORGUM_LAMBDA {
        some = max(from_bits(int_and(bits(v), but_sign)), some);
        spoilt = spoilt + (v - v);
    };
    index_t i = 0;
    for (; i + several * kLanes <= n; i += several * kLanes) {
        prefetch_ahead(x + i);
#pragma GCC unroll 4
        for (int v = 0; v < several; ++v)
            take(load_computed(x + i + v * kLanes), largest[v]);
    }
    for (; i < n; i += kLanes)
        take(load_computed_first(x + i, n - i, C(0)), largest[0]);
    const C found = fold_max(max(max(largest[0], largest[1]), max(largest[2], largest[3])));
    if (!any(is_nan(spoilt)))
        return found;
    for (i = 0; i < n; i += kLanes)
        if (any(is_nan(load_computed_first(x + i, n - i, C(0)))))
            return canonical_nan<C>();
    return found;
}

SORGUM_ISA_END
