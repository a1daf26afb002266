// The sum of a chunk's terms w(x), in the order that kernels/special/softmax.h states.
#pragma once

#include "kernels/common/elementwise.inl.h"
#include "kernels/special/lane_scale.inl.h"
#include "math/extexp.h"
#include "math/reduce_tree.h"

SORGUM_ISA_BEGIN

// Sums of groups, in float64 lanes.
template <class T>
struct LaneSum;

template <>
struct LaneSum<float> {
    f64x16 sum = splat<f64x16>(0.0);
    SORGUM_INLINE void add(f32x16 group) { sum = sum + widen(group); }
    SORGUM_INLINE f64x16 lanes() const { return sum; }
};

// float64 groups are added with Knuth's two-sum; the rounding errors are summed apart and added at the end.
template <>
struct LaneSum<double> {
    f64x16 sum = splat<f64x16>(0.0), error = splat<f64x16>(0.0);
    SORGUM_INLINE void add(f64x16 group) {
        const f64x16 t = sum + group;
        const f64x16 added = t - sum;
        error = error + ((sum - (t - added)) + (group - added));
        sum = t;
    }
    SORGUM_INLINE f64x16 lanes() const { return sum + error; }
};

// The map of a row or chunk, in every lane, and what else its terms need.
template <bool shifted, class T>
struct Terms {
    using V = vec<T>;
    ExpMap<V> map;
    V prescale, c_hi, c_lo, max;
    integer_t<V> count = splat_integer<integer_t<V>>(0);

    Terms() = default;
    SORGUM_INLINE Terms(const ExpMap<T>& m, const ExpScale<T>& s, T largest) : Terms(m, s.c_hi, s.c_lo, largest) {
        prescale = splat<V>(s.prescale);
    }
    SORGUM_INLINE Terms(const ExpMap<T>& m, T hi, T lo, T largest) {
        map.bias = splat<V>(m.bias);
        map.fraction = splat<V>(m.fraction);
        map.lowest = splat<V>(m.lowest);
        map.magic = splat<V>(m.magic);
        prescale = splat<V>(T(1));
        c_hi = splat<V>(hi);
        c_lo = splat<V>(lo);
        max = splat<V>(largest);
    }
    SORGUM_INLINE Terms(const ExpMap<V>& m, const LaneScale<T>& s, V largest)
        : map(m), prescale(splat<V>(T(1))), c_hi(s.c_hi), c_lo(s.c_lo), max(largest) {}
    SORGUM_INLINE V value(V x) const { return extexp<shifted>(map, prescale, c_hi, c_lo, x); }
    SORGUM_INLINE V value_above(V x) const { return extexp_above(map, c_hi, c_lo, x); }
    // The same for a sum in float64, of float32: less rounded, and 0 where x is the maximum, which is counted.
    SORGUM_INLINE f64x16 wide_summand(V x) {
        const auto hit = eq(x, max);
        count = increment(count, hit);
        return widen(zero_where(hit, precise_extexp<shifted>(map, prescale, c_hi, c_lo, x)));
    }
    // The summand of x, whose value is w: elements equal to the maximum are counted.
    SORGUM_INLINE V summand(V x, V w) {
        const auto hit = eq(x, max);
        count = increment(count, hit);
        return zero_where(hit, w);
    }
};

template <class S, class T = computed_t<S>>
SORGUM_INLINE T max_of(const S* x, index_t n) {
    const T least = -from_bits(Format<T>::infinity);
    vec<T> m = splat<vec<T>>(least);
    index_t i = 0;
    for (; i + kLanes <= n; i += kLanes)
        m = max(load_computed(x + i), m);
    if (i < n)
        m = max(load_computed_first(x + i, n - i, least), m);
    return fold_max(m);
}

template <class S>
SORGUM_INLINE bool any_nan(const S* x, index_t n) {
    bool found = false;
    for (index_t i = 0; i < n; i += kLanes)
        found = found || any(is_nan(load_computed_first(x + i, n - i, computed_t<S>(0))));
    return found;
}

template <class T>
struct ChunkSum {
    index_t count;
    double others;
};

// Other work that a sum does on its way, here none. `step` is called for each vector; `until` catches up where a sum
// takes no steps; `chunk` tells of a chunk its place, whether its maximum is finite and its terms neither shifted nor
// prescaled, and, if so, its reference's exponent; `keep` gives its terms.
struct NoSide {
    static constexpr bool active = false;
    SORGUM_INLINE void step() const {}
    SORGUM_INLINE void until(index_t) const {}
    SORGUM_INLINE void chunk(index_t, bool, index_t) const {}
    template <class V>
    SORGUM_INLINE void keep(index_t, V) const {}
};

// `sweep`: on the way, `next_max` becomes the maximum of as many elements at `next_x`. `side` does other work in the
// shadow of this one; `at` is the chunk's place in the row.
template <bool shifted, bool sweep, class S, class T, class Side>
SORGUM_INLINE ChunkSum<T> sum_chunk(const S* x, index_t n, const ExpMap<T>& map, const ExpScale<T>& scale, T max_x,
                                    const S* next_x, T& next_max, Side&& side, index_t at) {
    using V = vec<T>;
    const T least = -from_bits(Format<T>::infinity);
    Terms<shifted, T> terms(map, scale, max_x);
    LaneSum<T> lanes;
    V next = splat<V>(least);
    index_t i = 0;
    for (; !shifted && i + kGroup * kLanes <= n; i += kGroup * kLanes) {
        lanes.add(tree_sum<kGroup>([&](int v) SORGUM_LAMBDA {
            const index_t here = i + v * kLanes;
            prefetch_ahead(x + i + kChunk, v);
            if constexpr (sweep)
                next = max(load_computed(next_x + here), next);
            side.step();
            const V e = load_computed(x + here);
            const V w = terms.value(e);
            side.keep(at + here, w);
            const V summand = terms.summand(e, w);
            keep_in_step();
            return summand;
        }));
    }
    while (i < n) {  // once, or, of a rare shift, for every group
        side.until(at + n);
        V w[kGroup];
        for (int v = 0; v < kGroup; ++v)
            w[v] = splat<V>(T(0));
        for (int v = 0; v < kGroup && i < n; ++v, i += kLanes) {
            const V e = load_computed_first(x + i, n - i, least);
            const V value = terms.value(e);
            side.keep(at + i, value);
            w[v] = terms.summand(e, value);
        }
        lanes.add(tree_sum<kGroup>([&](int v) SORGUM_LAMBDA { return w[v]; }));
    }
    if constexpr (sweep)
        next_max = fold_max(next);
    return {fold_count(terms.count), fold_sum(lanes.lanes())};
}

// A chunk that is summed without sweeping the next one: that is no whole chunk, or this one needs a shift.
template <class T>
SORGUM_NOINLINE ChunkSum<T> sum_single_chunk(const T* x, index_t n, const Reference<T>& ref, const ExpScale<T>& scale,
                                             T max_x) {
    T unused;
    if (ref.shifted || scale.prescale != T(1))
        return sum_chunk<true, false>(x, n, ref.map, scale, max_x, x, unused, NoSide(), 0);
    return sum_chunk<false, false>(x, n, ref.map, scale, max_x, x, unused, NoSide(), 0);
}

// What is done once a chunk or a row is called: inlined, it would be a tenth of all the code.
template <class T>
SORGUM_NOINLINE Reference<T> reference_of(const ExpScale<T>& scale, T max_x) {
    return make_reference(scale, max_x);
}
template <class T>
SORGUM_NOINLINE void add_chunk_to_row(RowSum<T>& row, const ExpScale<T>& scale, const Reference<T>& ref, T max_x,
                                      const ChunkSum<T>& sum) {
    row_sum_add_chunk(row, scale, ref, max_x, sum.count, sum.others);
}
template <class T>
SORGUM_NOINLINE RowResult<T> result_of(const RowSum<T>& row, const ExpScale<T>& scale, bool subtract_max) {
    return row_result(row, scale, subtract_max);
}

// A chunk on the way through a part of a row.
template <class S, class T = computed_t<S>>
struct ChunkOnTheWay {
    const S* x;
    index_t at, n;  // its place in the part, and its elements
    bool followed;  // by a whole chunk
    T max;
    Reference<T> ref;

    // Whether its terms are neither shifted nor prescaled.
    SORGUM_INLINE bool is_regular(const ExpScale<T>& scale) const { return !ref.shifted && scale.prescale == T(1); }
    // The sum of a regular one; on the way `next_max` becomes the maximum of the whole chunk that follows. Where none
    // does, this one is swept itself, for nothing: that saves compiling another loop.
    template <class Side>
    SORGUM_INLINE ChunkSum<T> sum_and_sweep(const ExpScale<T>& scale, T& next_max, bool& swept, Side&& side) const {
        swept = followed;
        return sum_chunk<false, true>(x, n, ref.map, scale, max, x + (followed ? kChunk : 0), next_max, side, at);
    }
};

// Walks over the chunks of a contiguous part of a row, which starts at a chunk's border. sum(chunk, next_max, swept)
// returns a chunk's sum, and may find the next one's maximum on the way; then take(chunk, its sum) is called.
template <class S, class T, class Sum, class Take>
SORGUM_INLINE void walk_chunks(const S* x, index_t n, const ExpScale<T>& scale, Sum&& sum, Take&& take) {
    if (n <= 0)
        return;
    T max_x = max_of(x, n < kChunk ? n : kChunk);
    for (index_t i = 0; i < n; i += kChunk) {
        const index_t here = n - i < kChunk ? n - i : kChunk;
        const index_t after = n - i - here < kChunk ? n - i - here : kChunk;
        T next_max = T(0);
        bool swept = false;
        const ChunkOnTheWay<S> chunk = {x + i, i, here, after == kChunk, max_x, reference_of(scale, max_x)};
        const ChunkSum<T> of_chunk = sum(chunk, next_max, swept);
        if (!swept && after > 0)
            next_max = max_of(x + i + kChunk, after);
        take(chunk, of_chunk);
        max_x = next_max;
    }
}

// Adds a contiguous part of a row; it starts at a chunk's border.
template <class T, class Side>
SORGUM_INLINE void sum_chunks(const T* x, index_t n, const ExpScale<T>& scale, RowSum<T>& row, Side& side) {
    const auto sum = [&](const ChunkOnTheWay<T>& chunk, T& next_max, bool& swept) SORGUM_LAMBDA -> ChunkSum<T> {
        const T inf = from_bits(Format<T>::infinity);
        const bool regular = chunk.max != inf && chunk.is_regular(scale);
        side.chunk(chunk.at, regular && chunk.max != -inf, chunk.ref.exponent);
        if (regular && (chunk.followed || Side::active))
            return chunk.sum_and_sweep(scale, next_max, swept, side);
        side.until(chunk.at + chunk.n);
        if (chunk.max != inf)
            return sum_single_chunk(chunk.x, chunk.n, chunk.ref, scale, chunk.max);
        row.has_inf = true;
        row.has_nan = row.has_nan || any_nan(chunk.x, chunk.n);
        return {0, 0.0};
    };
    walk_chunks(x, n, scale, sum, [&](const ChunkOnTheWay<T>& chunk, const ChunkSum<T>& sum_of_it) SORGUM_LAMBDA {
        if (chunk.max != from_bits(Format<T>::infinity))
            add_chunk_to_row(row, scale, chunk.ref, chunk.max, sum_of_it);
    });
}

template <class T>
void exp_sum_kernel(const T* x, index_t n, const ExpScale<T>& scale, RowSum<T>& row) {
    NoSide none;
    sum_chunks(x, n, scale, row, none);
}

SORGUM_ISA_END
