// The three-pass softmax, with which Dukhan and Ablavatski 2020 compare theirs (section 3): the terms are computed
// twice, or stored and loaded again. The sums have the order that softmax.h states.
#pragma once

#include "kernels/special/softmax.inl.h"

SORGUM_ISA_BEGIN

template <class T>
T row_max_kernel(const T* x, index_t n) {
    const T least = -from_bits(Format<T>::infinity);
    vec<T> m = splat<vec<T>>(least);
    index_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
        prefetch_ahead(x + i);
        m = max(load(x + i), m);
    }
    if (i < n)
        m = max(load_first(x + i, n - i, least), m);
    return fold_max(m) + T(0);
}

template <bool keep, class T>
SORGUM_INLINE ChunkSum<T> max_sum_chunk(const T* x, T* kept, index_t n, const Reference<T>& ref,
                                        const ExpScale<T>& scale) {
    using V = vec<T>;
    Terms<true, T> terms(ref.map, scale, ref.map.bias);
    LaneSum<T> lanes;
    const auto term = [&](index_t i, bool whole) SORGUM_LAMBDA {
        const V e = whole ? load(x + i) : load_first(x + i, n - i, -from_bits(Format<T>::infinity));
        const V w = terms.value(e);
        if (keep && whole)
            store(kept + i, w);
        if (keep && !whole)
            store_first(kept + i, w, n - i);
        return terms.summand(e, w);
    };
    index_t i = 0;
    for (; i + kGroup * kLanes <= n; i += kGroup * kLanes) {
        lanes.add(tree_sum<kGroup>([&](int v) SORGUM_LAMBDA {
            prefetch_ahead(x + i, v);
            return term(i + v * kLanes, true);
        }));
    }
    if (i < n) {
        V w[kGroup];
        for (int v = 0; v < kGroup; ++v)
            w[v] = splat<V>(T(0));
        for (int v = 0; i < n; ++v, i += kLanes)
            w[v] = term(i, false);
        lanes.add(tree_sum<kGroup>([&](int v) SORGUM_LAMBDA { return w[v]; }));
    }
    return {fold_count(terms.count), fold_sum(lanes.lanes())};
}

template <class T>
void max_sum_kernel(const T* x, T* terms, index_t n, const ExpScale<T>& scale, T max_x, RowSum<T>& row) {
    row.max = max_x;
    if (max_x - max_x != T(0)) {
        row.has_inf = row.has_inf || max_x > T(0);
        row.has_nan = row.has_nan || any_nan(x, n);
        return;
    }
    const Reference<T> ref = make_max_reference(scale, max_x);
    for (index_t i = 0; i < n; i += kChunk) {
        const index_t here = n - i < kChunk ? n - i : kChunk;
        const ChunkSum<T> sum = terms == nullptr ? max_sum_chunk<false>(x + i, terms, here, ref, scale)
                                                 : max_sum_chunk<true>(x + i, terms + i, here, ref, scale);
        row.count += sum.count;
        if (sum.others != sum.others)
            row.has_nan = true;
        else
            exact_sum_add(row.others, sum.others, -kHeadroom<T>, 1);
    }
}

template <class T>
void terms_scale_kernel(T* terms, index_t n, const RowResult<T>& row, T empty, bool streaming) {
    using V = vec<T>;
    T value;
    if (special_row(row, empty, value))
        return fill(terms, n, splat<vec<T>>(value));
    const Scale<V> s = make_scale<V>(row, splat<V>(static_cast<T>(power_of_two_f64(kHeadroom<T>))));
    map_elements(terms, terms, n, streaming, [&](V w) SORGUM_LAMBDA { return scale_subnormal(w, s); });
    if (streaming)
        stream_fence();
}

SORGUM_ISA_END
