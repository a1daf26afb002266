#pragma once

#include "kernels/lowrank/middle.h"
#include "math/exp.h"
#include "simd/simd.h"

SORGUM_ISA_BEGIN

using namespace sorgum::lowrank;

template <class V>
SORGUM_INLINE V activated(V v, Activation activation) {
    const V zero = splat<V>(0);
    if (activation == Activation::relu)
        return select(lt(v, zero), zero, v);
    // -inf / inf would be NaN.
    return select(eq(v, splat<V>(-1) / zero), zero, v / (splat<V>(1) + exp(zero - v)));
}

template <class T>
void middle_kernel(T* v, index_t pitch, index_t rows, index_t rank, Activation activation, const T* factors,
                   const T* gates) {
    using V = vec<T>;
    for (index_t i = 0; i < rows; ++i, v += pitch)
        for (index_t j = 0; j < rank; j += kLanes) {
            V some = load_first(v + j, rank - j, T(0));
            if (activation != Activation::none)
                some = activated(some, activation);
            if (factors != nullptr)
                some = some * load_first(factors + j, rank - j, T(0));
            if (gates != nullptr)
                some = some * splat<V>(gates[i]);
            store_first(v + j, some, rank - j);
        }
}

SORGUM_ISA_END
