#pragma once

#include "kernels/linalg/product.inl.h"
#include "kernels/linalg/squares.h"

SORGUM_ISA_BEGIN

template <class T>
void panel_squares_kernel(const T* y, index_t depth, T* levels, T* sums) {
    using V = vec<T>;
    V s[1][1] = {{splat<V>(T(0))}};
    index_t chunk = 0;
    for (index_t k = 0; k < depth; ++chunk) {
        const index_t end = depth - k < kDepthChunk ? depth : k + kDepthChunk;
        s[0][0] = splat<V>(T(0));
        for (; k < end; ++k) {
            const V v = load(y + k * kLanes);
            s[0][0] = fma(v, v, s[0][0]);
        }
        count(levels, chunk, s);
    }
    if (chunk > 0)
        counted(levels, chunk, s);
    store(sums, s[0][0]);
}

SORGUM_ISA_END
