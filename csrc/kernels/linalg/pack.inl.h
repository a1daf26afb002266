#pragma once

#include <type_traits>

#include "kernels/common/elementwise.inl.h"
#include "kernels/linalg/pack.h"

SORGUM_ISA_BEGIN

using namespace sorgum::linalg;

// The first n of 16 elements of memory in the type that is computed in, then zeros.
template <class P>
SORGUM_INLINE vec<typename P::computed> load_as(const typename P::stored* p, index_t n = kLanes) {
    using S = typename P::stored;
    if constexpr (sizeof(typename P::computed) == sizeof(computed_t<S>))
        return n >= kLanes ? load_computed(p) : load_computed_first(p, n, computed_t<S>(0));
    else if constexpr (std::is_same_v<S, float>)
        return n >= kLanes ? load_wide(p) : widen(load_first(p, n, 0.0f));
    else
        return n >= kLanes ? load_half_wide(p) : widen(load_computed_first(p, n, 0.0f));
}

template <class P>
void pack_kernel(const typename P::stored* x, index_t stride, index_t rows, index_t n, typename P::computed* y,
                 index_t pitch, index_t step) {
    for (index_t i = 0; i < rows; ++i) {
        index_t j = 0;
        typename P::computed* to = y + i * pitch;
        for (; j + kLanes <= n; j += kLanes, to += step)
            store(to, load_as<P>(x + i * stride + j));
        if (j < n)
            store(to, load_as<P>(x + i * stride + j, n - j));
    }
}

// Sixteen rows, or fewer and zeros, become sixteen columns, of which n are written.
template <class P>
SORGUM_INLINE void pack_square(const typename P::stored* x, index_t stride, index_t rows, index_t n,
                               typename P::computed* y, index_t pitch) {
    using V = vec<typename P::computed>;
    V square[kLanes];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i)
        square[i] = i < rows ? load_as<P>(x + i * stride, n) : splat<V>(0);
    transpose(square);
#pragma GCC unroll 16
    for (int j = 0; j < kLanes; ++j)
        if (j < n)
            store(y + j * pitch, square[j]);
}

template <class P>
void pack_transposed_kernel(const typename P::stored* x, index_t stride, index_t rows, index_t n,
                            typename P::computed* y, index_t pitch, index_t step) {
    for (index_t i = 0; i < rows; i += kLanes, y += step) {
        index_t j = 0;
        if (rows - i >= kLanes)
            for (; j + kLanes <= n; j += kLanes)
                pack_square<P>(x + i * stride + j, stride, kLanes, kLanes, y + j * pitch, pitch);
        for (; j < n; j += kLanes)
            pack_square<P>(x + i * stride + j, stride, rows - i, n - j, y + j * pitch, pitch);
    }
}

SORGUM_ISA_END
