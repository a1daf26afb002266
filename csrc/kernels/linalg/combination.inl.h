#pragma once

#include "kernels/linalg/combination.h"
#include "kernels/linalg/product.inl.h"

SORGUM_ISA_BEGIN

inline constexpr index_t kCombined = 2048;  // columns whose sums stay in the first-level cache while rows pass

// Goes on with the chains of 16 columns or fewer by the terms of `tall` rows, or begins them; the last terms are
// followed by the end.
template <int tall, class P>
SORGUM_INLINE void combine_some(const typename P::computed* x, const typename P::stored* y, index_t y_pitch, index_t n,
                                bool begins, typename P::computed* sums, typename P::stored* out) {
    using V = vec<typename P::computed>;
    V sum = begins ? splat<V>(0) : load(sums);
#pragma GCC unroll 8
    for (int r = 0; r < tall; ++r)
        sum = fma(splat<V>(x[r]), load_as<P>(y + r * y_pitch, n), sum);
    if (out != nullptr)
        store_as<P>(out, sum, n, false);
    else
        store(sums, sum);
}

template <int tall, class P>
SORGUM_INLINE void combine(const typename P::computed* x, const typename P::stored* y, index_t y_pitch, index_t columns,
                           bool begins, typename P::computed* sums, typename P::stored* out) {
    index_t j = 0;
    for (; j + kLanes <= columns; j += kLanes)
        combine_some<tall, P>(x, y + j, y_pitch, kLanes, begins, sums + j, out == nullptr ? nullptr : out + j);
    if (j < columns)
        combine_some<tall, P>(x, y + j, y_pitch, columns - j, begins, sums + j, out == nullptr ? nullptr : out + j);
}

// A chunk of terms; its sums are left in `sums`, or written to `out` if that is no null pointer.
template <class P>
SORGUM_INLINE void combine_chunk(const typename P::computed* x, const typename P::stored* y, index_t y_pitch,
                                 index_t terms, index_t columns, typename P::computed* sums, typename P::stored* out) {
    constexpr int tall = 8;
    if (terms == 0)
        return combine<0, P>(x, y, y_pitch, columns, true, sums, out);
    index_t k = 0;
    for (; k + tall <= terms; k += tall)
        combine<tall, P>(x + k, y + k * y_pitch, y_pitch, columns, k == 0, sums, k + tall == terms ? out : nullptr);
    for (; k < terms; ++k)
        combine<1, P>(x + k, y + k * y_pitch, y_pitch, columns, k == 0, sums, k + 1 == terms ? out : nullptr);
}

template <class P>
void row_combination_kernel(const typename P::computed* x, const typename P::stored* y, index_t y_pitch, index_t depth,
                            index_t columns, typename P::computed* sums, typename P::stored* out) {
    using T = typename P::computed;
    using V = vec<T>;
    alignas(64) T current[kCombined];
    const index_t width = depth > kDepthChunk ? kTileElements : kCombined;  // levels of the counter have so much room
    for (index_t begin = 0; begin < columns; begin += width) {
        const index_t n = columns - begin < width ? columns - begin : width;
        if (depth <= kDepthChunk) {
            combine_chunk<P>(x, y + begin, y_pitch, depth, n, current, out + begin);
            continue;
        }
        index_t chunk = 0;
        for (index_t k = 0; k < depth; k += kDepthChunk, ++chunk) {
            const index_t terms = depth - k < kDepthChunk ? depth - k : kDepthChunk;
            combine_chunk<P>(x + k, y + k * y_pitch + begin, y_pitch, terms, n, current, nullptr);
            for (index_t j = 0; j < n; j += kLanes) {
                V s[1][1] = {{load(current + j)}};
                count(sums + j, chunk, s);
            }
        }
        for (index_t j = 0; j < n; j += kLanes) {
            V s[1][1];
            counted(sums + j, chunk, s);
            store_as<P>(out + begin + j, s[0][0], n - j, false);
        }
    }
}

SORGUM_ISA_END
