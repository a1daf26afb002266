#pragma once

#include "kernels/linalg/pack.inl.h"
#include "kernels/linalg/product.h"
#include "math/format.h"

SORGUM_ISA_BEGIN

using namespace sorgum::linalg;

// ---- sums ----

// The sums of `side` chunks of `terms` terms that follow each other: chains that do not wait for one another. They are
// copied in the end: what other functions see of `s` would be kept in memory in every step.
template <int tall, int wide, int side, class T>
SORGUM_INLINE void chains(const T* x, index_t x_pitch, const T* y, index_t panel, index_t terms,
                          vec<T> (&s)[side][tall][wide]) {
    vec<T> sum[side][tall][wide];
#pragma GCC unroll 8
    for (int c = 0; c < side; ++c)
#pragma GCC unroll 12
        for (int r = 0; r < tall; ++r)
#pragma GCC unroll 2
            for (int v = 0; v < wide; ++v)
                sum[c][r][v] = splat<vec<T>>(T(0));
    constexpr int together = 3;  // rows that one address reaches: more addresses than registers would be loaded anew
    const T* rows[(tall + together - 1) / together];
    for (int g = 0; g * together < tall; ++g)
        rows[g] = x + g * together * x_pitch;
    for (index_t k = 0; k < terms; ++k) {
#pragma GCC unroll 8
        for (int c = 0; c < side; ++c) {
            const index_t at = k + c * kDepthChunk;
            vec<T> columns[wide];
#pragma GCC unroll 2
            for (int v = 0; v < wide; ++v)
                columns[v] = load(y + v * panel + at * kLanes);
#pragma GCC unroll 12
            for (int r = 0; r < tall; ++r) {
                const vec<T> element = splat<vec<T>>(rows[r / together][r % together * x_pitch + at]);
#pragma GCC unroll 2
                for (int v = 0; v < wide; ++v)
                    sum[c][r][v] = fma(element, columns[v], sum[c][r][v]);
            }
        }
    }
#pragma GCC unroll 8
    for (int c = 0; c < side; ++c)
#pragma GCC unroll 12
        for (int r = 0; r < tall; ++r)
#pragma GCC unroll 2
            for (int v = 0; v < wide; ++v)
                s[c][r][v] = sum[c][r][v];
}

// Adds the sums of the chunk of this number to the binary counter: level l holds the sum of 2^l chunks.
template <int tall, int wide, class T>
SORGUM_INLINE void count(T* level, index_t chunk, vec<T> (&s)[tall][wide]) {
    for (; chunk % 2 != 0; chunk /= 2, level += kTileElements)
        for (int r = 0; r < tall; ++r)
            for (int v = 0; v < wide; ++v)
                s[r][v] = load(level + (r * wide + v) * kLanes) + s[r][v];
    for (int r = 0; r < tall; ++r)
        for (int v = 0; v < wide; ++v)
            store(level + (r * wide + v) * kLanes, s[r][v]);
}

// What remains in the counter after so many chunks, from the lowest level up.
template <int tall, int wide, class T>
SORGUM_INLINE void counted(const T* level, index_t chunks, vec<T> (&s)[tall][wide]) {
    for (; chunks % 2 == 0; chunks /= 2)
        level += kTileElements;
    for (int r = 0; r < tall; ++r)
        for (int v = 0; v < wide; ++v)
            s[r][v] = load(level + (r * wide + v) * kLanes);
    while ((chunks /= 2) != 0) {
        level += kTileElements;
        if (chunks % 2 != 0)
            for (int r = 0; r < tall; ++r)
                for (int v = 0; v < wide; ++v)
                    s[r][v] = load(level + (r * wide + v) * kLanes) + s[r][v];
    }
}

// The sums of more than one chunk.
template <int tall, int wide, int side, class T>
SORGUM_INLINE void sums(const T* x, index_t x_pitch, const T* y, index_t depth, T* levels, vec<T> (&s)[1][tall][wide]) {
    const index_t panel = depth * kLanes;
    index_t chunk = 0, k = 0;
    if constexpr (side > 1)
        for (; k + side * kDepthChunk <= depth; k += side * kDepthChunk) {
            vec<T> several[side][tall][wide];
            chains(x + k, x_pitch, y + k * kLanes, panel, kDepthChunk, several);
            for (int c = 0; c < side; ++c)
                count(levels, chunk++, several[c]);
        }
    for (; k < depth; k += kDepthChunk) {
        chains<tall, wide, 1>(x + k, x_pitch, y + k * kLanes, panel, depth - k < kDepthChunk ? depth - k : kDepthChunk,
                              s);
        count(levels, chunk++, s[0]);
    }
    counted(levels, chunk, s[0]);
}

// ---- the end ----

SORGUM_INLINE f32x16 as_single(f32x16 a) { return a; }
SORGUM_INLINE f32x16 as_single(f64x16 a) { return narrow(a); }

// Writes the first n of 16 elements; every NaN is the canonical one.
template <class P>
SORGUM_INLINE void store_as(typename P::stored* p, vec<typename P::computed> a, index_t n, bool streaming) {
    using S = typename P::stored;
    if constexpr (sizeof(S) < sizeof(float)) {
        const f32x16 single = canonicalise_nan(as_single(a));
        if (n >= kLanes)
            return store_half_canonical(p, single);
        S some[kLanes];
        store_half_canonical(some, single);
        __builtin_memcpy(p, some, static_cast<std::size_t>(n) * sizeof(S));
    } else if constexpr (sizeof(S) < sizeof(typename P::computed)) {
        if (n >= kLanes)
            store_narrow(p, canonicalise_nan(a));
        else
            store_first(p, narrow(canonicalise_nan(a)), n);
    } else if (n < kLanes) {
        store_first(p, canonicalise_nan(a), n);
    } else if (streaming) {
        stream(p, canonicalise_nan(a));
    } else {
        store(p, canonicalise_nan(a));
    }
}

// A vector in the type of out and back.
template <class P>
SORGUM_INLINE vec<typename P::computed> rounded(vec<typename P::computed> a) {
    typename P::stored some[kLanes];
    store_as<P>(some, a, kLanes, false);
    return load_as<P>(some);
}

// The element s of the product at the element b of the base, or without a base.
template <class P>
SORGUM_INLINE vec<typename P::computed> ended(End end, vec<typename P::computed> scale, vec<typename P::computed> s,
                                              vec<typename P::computed> b) {
    switch (end) {
        case End::scaled:
            return scale * s;
        case End::added:
            return fma(scale, s, b);
        case End::added_rounded:
            return b + rounded<P>(scale * s);
        default:
            return fma(b, scale * s, b);
    }
}

// The row of base and out.
template <class P>
SORGUM_INLINE index_t place_of(const Product<P>& p, index_t row) {
    return p.row_numbers == nullptr ? row : p.row_numbers[row];
}

// Writes the first n of 16 elements.
template <class P>
SORGUM_INLINE void end_vector(const Product<P>& p, index_t row, index_t column, index_t n,
                              vec<typename P::computed> s) {
    using V = vec<typename P::computed>;
    const index_t place = place_of(p, row);
    const V b = p.end == End::scaled ? s : load_as<P>(p.base + place * p.base_pitch + column, n);
    V value = ended<P>(p.end, splat<V>(p.scale), s, b);
    if (p.row_factors != nullptr)
        value = value * splat<V>(p.row_factors[row]);
    if (p.column_factors != nullptr)
        value = value * load_first(p.column_factors + column, n, 0);
    if (p.mask != nullptr) {
        bool set[kLanes] = {};
        __builtin_memcpy(set, p.mask + row * p.mask_pitch + column, static_cast<std::size_t>(n < kLanes ? n : kLanes));
        value = select_bytes(set, value, b);
    }
    if (p.finite != nullptr && any(is_nan(value - value)))
        *p.finite = false;
    store_as<P>(p.out + place * p.out_pitch + column, value, n, p.streaming);
}

// Any end of any tile, for sums in memory.
template <int tall, int wide, class P>
SORGUM_NOINLINE void end_other(const Product<P>& p, index_t row, index_t column,
                               const vec<typename P::computed> (&s)[tall][wide]) {
    const index_t left = p.columns - column;
    for (int r = 0; r < tall; ++r)
        for (int v = 0; v < wide; ++v)
            end_vector(p, row + r, column + v * kLanes, left - v * kLanes, s[r][v]);
}

// The ends that are the rule, of whole vectors and sums in registers. What they need of p is read once: writing `out`
// could change it, for all that a compiler knows.
template <End end, bool looking, int tall, int wide, class P>
SORGUM_INLINE void end_tile(const Product<P>& p, index_t row, index_t column,
                            const vec<typename P::computed> (&s)[tall][wide]) {
    using V = vec<typename P::computed>;
    const V scale = splat<V>(p.scale), zero = splat<V>(0);
    V spoilt[wide];  // NaN where a result was NaN or infinite
    for (V& some : spoilt)
        some = zero;
    const bool streaming = p.streaming;
    const index_t base_pitch = p.base_pitch, out_pitch = p.out_pitch;
    const index_t* const numbers = p.row_numbers;
    const typename P::stored* base = end == End::scaled ? nullptr : p.base + row * base_pitch + column;
    typename P::stored* out = p.out + row * out_pitch + column;
#pragma GCC unroll 12
    for (int r = 0; r < tall; ++r) {
        if (numbers != nullptr) {
            base = end == End::scaled ? nullptr : p.base + numbers[row + r] * base_pitch + column;
            out = p.out + numbers[row + r] * out_pitch + column;
        }
#pragma GCC unroll 2
        for (int v = 0; v < wide; ++v) {
            V b = s[r][v];
            if constexpr (end != End::scaled)
                b = load_as<P>(base + v * kLanes);
            const V value = ended<P>(end, scale, s[r][v], b);
            if constexpr (looking)
                spoilt[v] = fma(value, zero, spoilt[v]);
            store_as<P>(out + v * kLanes, value, kLanes, streaming);
        }
        if constexpr (end != End::scaled)
            base += base_pitch;
        out += out_pitch;
    }
    if constexpr (looking)
        for (const V& some : spoilt)
            if (any(is_nan(some)))
                *p.finite = false;
}

// ---- tiles ----

// Fetches the lines of the base of a tile: its rows are too far apart for a processor to foresee them.
template <int tall, int wide, class P>
SORGUM_INLINE void prefetch_base(const Product<P>& p, index_t row, index_t column) {
    constexpr int line = 64 / static_cast<int>(sizeof(typename P::stored));
#pragma GCC unroll 12
    for (int r = 0; r < tall; ++r) {
        const typename P::stored* const base = p.base + place_of(p, row + r) * p.base_pitch + column;
#pragma GCC unroll 4
        for (int i = 0; i < wide * kLanes; i += line)
            prefetch(base + i);
    }
}

template <int tall, int wide, int side, class P>
SORGUM_NOINLINE void tile_of_chunks(const Product<P>& p, index_t row, index_t column) {
    vec<typename P::computed> s[1][tall][wide];
    sums<tall, wide, side>(p.x + row * p.x_pitch, p.x_pitch, p.y + column * p.depth, p.depth, p.sums, s);
    end_other(p, row, column, s[0]);
}

template <int tall, int wide, int side, class P>
SORGUM_INLINE void tile(const Product<P>& p, index_t row, index_t column) {
    using V = vec<typename P::computed>;
    if (p.depth > kDepthChunk)
        return tile_of_chunks<tall, wide, side>(p, row, column);
    if (p.end != End::scaled)
        prefetch_base<tall, wide>(p, row, column + wide * kLanes);
    V s[1][tall][wide];
    chains(p.x + row * p.x_pitch, p.x_pitch, p.y + column * p.depth, p.depth * kLanes, p.depth, s);
    const bool plain = p.row_factors == nullptr && p.column_factors == nullptr && p.mask == nullptr &&
                       p.columns - column >= wide * kLanes;
    if (plain && p.end == End::added)
        return p.finite == nullptr ? end_tile<End::added, false>(p, row, column, s[0])
                                   : end_tile<End::added, true>(p, row, column, s[0]);
    if (plain && p.end == End::scaled && p.finite == nullptr)
        return end_tile<End::scaled, false>(p, row, column, s[0]);
    V other[tall][wide];  // a copy: sums whose address is known are kept in memory
#pragma GCC unroll 12
    for (int r = 0; r < tall; ++r)
#pragma GCC unroll 2
        for (int v = 0; v < wide; ++v)
            other[r][v] = s[0][r][v];
    end_other(p, row, column, other);
}

template <int tall, int side, class P>
SORGUM_INLINE void row_of_tiles(const Product<P>& p, index_t row) {
    constexpr int wide = ProductTile<typename P::computed>::vectors;
    index_t column = 0;
    for (; column + (wide - 1) * kLanes < p.columns; column += wide * kLanes)
        tile<tall, wide, side>(p, row, column);
    if constexpr (wide > 1)
        for (; column < p.columns; column += kLanes)
            tile<tall, 1, side>(p, row, column);
}

// ---- one row ----

// The sums of `side` chunks that follow each other, for 16 columns or fewer: squares of y are transposed in registers.
template <int side, class T>
SORGUM_INLINE void row_chains(const T* x, const T* y, index_t y_pitch, index_t terms, index_t n,
                              vec<T> (&s)[side][1][1]) {
    using P = Pair<T, T>;
    vec<T> sum[side];
#pragma GCC unroll 8
    for (int c = 0; c < side; ++c)
        sum[c] = splat<vec<T>>(T(0));
    index_t k = 0;
    for (; n >= kLanes && k + kLanes <= terms; k += kLanes) {
#pragma GCC unroll 8
        for (int c = 0; c < side; ++c) {
            const index_t at = k + c * kDepthChunk;
            vec<T> square[kLanes];
#pragma GCC unroll 16
            for (int i = 0; i < kLanes; ++i)
                square[i] = load(y + i * y_pitch + at);
            transpose(square);
#pragma GCC unroll 16
            for (int j = 0; j < kLanes; ++j)
                sum[c] = fma(splat<vec<T>>(x[at + j]), square[j], sum[c]);
        }
    }
    for (; k < terms; k += kLanes) {
        const index_t left = terms - k < kLanes ? terms - k : kLanes;
        for (int c = 0; c < side; ++c) {
            const index_t at = k + c * kDepthChunk;
            T square[kLanes * kLanes];
            pack_square<P>(y + at, y_pitch, n, left, square, kLanes);
            for (index_t j = 0; j < left; ++j)
                sum[c] = fma(splat<vec<T>>(x[at + j]), load(square + j * kLanes), sum[c]);
        }
    }
#pragma GCC unroll 8
    for (int c = 0; c < side; ++c)
        s[c][0][0] = sum[c];
}

template <class P>
void row_product_kernel(const Product<P>& p, index_t y_pitch) {
    using T = typename P::computed;
    constexpr int side = 2;  // more rows at once would crowd each other out of the first-level cache
    for (index_t column = 0; column < p.columns; column += kLanes) {
        const T* const y = p.y + column * y_pitch;
        const index_t n = p.columns - column;
        vec<T> s[1][1][1];
        if (p.depth <= kDepthChunk) {
            row_chains(p.x, y, y_pitch, p.depth, n, s);
        } else {
            index_t chunk = 0, k = 0;
            for (; k + side * kDepthChunk <= p.depth; k += side * kDepthChunk) {
                vec<T> several[side][1][1];
                row_chains(p.x + k, y + k, y_pitch, kDepthChunk, n, several);
                for (int c = 0; c < side; ++c)
                    count(p.sums, chunk++, several[c]);
            }
            for (; k < p.depth; k += kDepthChunk) {
                row_chains(p.x + k, y + k, y_pitch, p.depth - k < kDepthChunk ? p.depth - k : kDepthChunk, n, s);
                count(p.sums, chunk++, s[0]);
            }
            counted(p.sums, chunk, s[0]);
        }
        end_vector(p, 0, column, n, s[0][0][0]);
    }
}

template <class P>
void product_kernel(const Product<P>& p) {
    constexpr int most = ProductTile<typename P::computed>::rows, few = most / 3;
    index_t row = 0;
    for (; row + most <= p.rows; row += most)
        row_of_tiles<most, 1>(p, row);
    if constexpr (few > 1)
        for (; row + few <= p.rows; row += few)
            row_of_tiles<few, 2>(p, row);
    for (; row < p.rows; ++row)
        row_of_tiles<1, 8>(p, row);
    if (p.streaming)
        stream_fence();
}

SORGUM_ISA_END
