#pragma once

#include "kernels/sor/diagonal.h"
#include "math/format.h"
#include "simd/simd.h"

SORGUM_ISA_BEGIN

using namespace sorgum::sor;

template <class T>
SORGUM_INLINE vec<T> without_sign(vec<T> a) {
    using I = integer_t<vec<T>>;
    return from_bits(int_and(bits(a), splat_integer<I>(Format<T>::infinity | (Format<T>::infinity - 1))));
}

template <class T>
T magnitude_kernel(const T* x, index_t n) {
    vec<T> largest = splat<vec<T>>(T(0)), spoilt = largest;
    for (index_t i = 0; i < n; i += kLanes) {
        const vec<T> v = load(x + i);
        largest = max(without_sign<T>(v), largest);
        spoilt = spoilt + (v - v);
    }
    const T found = fold_max(largest);
    return any(is_nan(spoilt)) ? from_bits(Format<T>::quiet_nan) : found;
}

template <class T>
void reciprocals_kernel(const T* d, index_t n, T shift, T* inverse, T& least, T& largest) {
    using V = vec<T>;
    V low = splat<V>(T(1)), high = low, spoilt = splat<V>(T(0));
    for (index_t i = 0; i < n; i += kLanes) {
        const V v = load(d + i) + splat<V>(shift);
        const V size = without_sign<T>(v);
        low = min(size, low);
        high = max(size, high);
        spoilt = spoilt + (v - v);
        store(inverse + i, splat<V>(T(1)) / v);
    }
    T lanes[kLanes];
    store(lanes, low);
    least = lanes[0];
    for (int i = 1; i < kLanes; ++i)
        least = min(lanes[i], least);
    largest = fold_max(high);
    if (any(is_nan(spoilt)))
        least = from_bits(Format<T>::quiet_nan);
}

SORGUM_ISA_END
