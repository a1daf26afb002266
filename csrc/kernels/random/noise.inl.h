#pragma once

#include <type_traits>

#include "kernels/random/noise.h"
#include "kernels/random/words.inl.h"
#include "math/normal.h"

SORGUM_ISA_BEGIN

using namespace sorgum::random;

template <int rounds>
SORGUM_INLINE void philox_blocks(const PhiloxBlocks& a) {
    for (index_t i = 0; i < a.n; i += kLanes) {
        const auto word = [&](const float* p, int w)
                              SORGUM_LAMBDA { return bits(load_first(p + w * a.n + i, a.n - i, 0.0f)); };
        Block<i32x16> c;
        for (int w = 0; w < 4; ++w)
            c.word[w] = word(a.counter, w);
        c = philox<rounds>(c, PhiloxKey<i32x16>{{word(a.key, 0), word(a.key, 1)}});
        for (int w = 0; w < 4; ++w)
            store_first(a.out + w * a.n + i, from_bits(c.word[w]), a.n - i);
    }
}

template <class T>
void philox_kernel(const PhiloxBlocks& blocks) {
    if (blocks.rounds == 7)
        philox_blocks<7>(blocks);
    else
        philox_blocks<kPhiloxRounds>(blocks);
}

// Laws in two steps. In a logarithm every operation waits for the one before: as the second step waits for the first of
// all vectors of a group, there are always several logarithms on their way.
template <class T>
struct Uniform {
    template <class P>
    SORGUM_INLINE static auto first(P p) {
        return uniform<T>(p);
    }
    template <class L>
    SORGUM_INLINE static L second(L x) {
        return x;
    }
};
struct Exponential {
    template <class P>
    SORGUM_INLINE static auto first(P p) {
        return exponential(p);
    }
    template <class L>
    SORGUM_INLINE static L second(L x) {
        return x;
    }
};
struct Gumbel {
    template <class P>
    SORGUM_INLINE static auto first(P p) {
        return exponential(p);
    }
    template <class L>
    SORGUM_INLINE static L second(L x) {
        return gumbel_of_exponential(x);
    }
};
struct Logistic {
    template <class P>
    SORGUM_INLINE static auto first(P p) {
        return odds(p);
    }
    template <class L>
    SORGUM_INLINE static L second(L x) {
        return log_of_normal(x);
    }
};

// put(k, vector k) for the results of a group: as many elements as words, or half as many of 64 bits.
template <class T, bool wide, class Law, class Put>
SORGUM_INLINE void results_of_group(const i32x16* w, Put&& put) {
    constexpr int vectors = wide ? kGroupVectors / 2 : kGroupVectors;
    using L = vec<std::conditional_t<wide, double, T>>;
    L x[vectors];
#pragma GCC unroll 8
    for (int k = 0; k < vectors; ++k) {
        if constexpr (wide)
            x[k] = Law::first(open_unit_wide<L>(join(w[2 * k], w[2 * k + 1])));
        else if constexpr (sizeof(T) == 4)
            x[k] = Law::first(open_unit<L>(w[k]));
        else
            x[k] = Law::first(open_unit<L>(zero_extend(w[k])));
    }
#pragma GCC unroll 8
    for (int k = 0; k < vectors; ++k) {
        const L r = Law::second(x[k]);
        if constexpr (wide && sizeof(T) == 4)
            put(k, narrow(r));
        else
            put(k, r);
    }
}

// y[k] for k in [0, n) from group(w, at), which writes the elements of a group of words. `share` elements make a group.
// Streamed results pass through `all`: it is the arithmetic that takes the time.
template <bool few, class T, class Group>
SORGUM_INLINE void write_groups(const NoiseRow& row, index_t first, index_t n, index_t share, T* y, bool streaming,
                                Group&& group) {
    const index_t words = kGroupWords / share, end = first + n, head = elements_to_boundary(y);
    const bool past_caches = streaming && head >= 0 && (first + head) % (64 / static_cast<index_t>(sizeof(T))) == 0;
    for_each_group<few>(row, first * words, n * words, [&](index_t at, const i32x16* w) SORGUM_LAMBDA {
        const index_t i = at / words;  // the group's first element
        const bool inside = i >= first && i + share <= end;
        alignas(64) T all[kGroupWords];
        group(w, inside && !past_caches ? y + (i - first) : all);  // one call: two would be compiled twice
        if (inside && past_caches)
            for (index_t k = 0; k < share; k += kLanes)
                stream(y + (i - first) + k, load(all + k));
        if (inside)
            return;
        const index_t stop = end - i < share ? end - i : share;
        for (index_t k = i < first ? first - i : 0; k < stop; ++k)
            y[i + k - first] = all[k];
    });
    if (past_caches)
        stream_fence();
}

template <bool few, class Law, class T>
SORGUM_INLINE void write_noise(const NoiseRow& row, index_t first, index_t n, T* y, bool streaming) {
    if (row.wide)
        write_groups<few>(row, first, n, kGroupWords / 2, y, streaming, [&](const i32x16* w, T* to) SORGUM_LAMBDA {
            results_of_group<T, true, Law>(w, [&](int k, vec<T> r) SORGUM_LAMBDA { store(to + k * kLanes, r); });
        });
    else
        write_groups<few>(row, first, n, kGroupWords, y, streaming, [&](const i32x16* w, T* to) SORGUM_LAMBDA {
            results_of_group<T, false, Law>(w, [&](int k, vec<T> r) SORGUM_LAMBDA { store(to + k * kLanes, r); });
        });
}

template <class T>
void bits_kernel(const NoiseRow& row, index_t first, index_t n, T* y, bool streaming) {
    write_groups<true>(row, first, n, kGroupWords * 4 / static_cast<index_t>(sizeof(T)), y, streaming,
                       [](const i32x16* w, T* to) SORGUM_LAMBDA {
                           if constexpr (sizeof(T) == 4)
                               for (int k = 0; k < kGroupVectors; ++k)
                                   store(to + k * kLanes, from_bits(w[k]));
                           else
                               for (int k = 0; k < kGroupVectors / 2; ++k)
                                   store(to + k * kLanes, from_bits(join(w[2 * k], w[2 * k + 1])));
                       });
}

template <class T>
void uniform_kernel(const NoiseRow& row, index_t first, index_t n, T* y, bool streaming) {
    write_noise<true, Uniform<T>>(row, first, n, y, streaming);
}

template <class T>
void exponential_kernel(const NoiseRow& row, index_t first, index_t n, T* y, bool streaming) {
    write_noise<true, Exponential>(row, first, n, y, streaming);
}

template <class T>
void gumbel_kernel(const NoiseRow& row, index_t first, index_t n, T* y, bool streaming) {
    write_noise<false, Gumbel>(row, first, n, y, streaming);
}

template <class T>
void gumbel_add_kernel(const NoiseRow& row, const T* x, index_t first, index_t n, T* y) {
    const index_t end = first + n;
    for_each_group(row, first, n, [&](index_t at, const i32x16* w) SORGUM_LAMBDA {
        const bool inside = at >= first && at + kGroupWords <= end;
        const index_t begin = at < first ? first : at, stop = end - at < kGroupWords ? end : at + kGroupWords;
        alignas(64) T all[kGroupWords];
        for (index_t k = 0; !inside && k < kGroupWords; ++k)
            all[k] = at + k >= begin && at + k < stop ? x[at + k - first] : T(0);
        const T* const from = inside ? x + (at - first) : all;
        T* const to = inside ? y + (at - first) : all;
        results_of_group<T, false, Gumbel>(w, [&](int k, vec<T> noise) SORGUM_LAMBDA {
            prefetch_ahead(from + k * kLanes);
            store(to + k * kLanes, load(from + k * kLanes) + noise);
        });
        for (index_t i = begin; !inside && i < stop; ++i)
            y[i - first] = all[i - at];
    });
}

template <class T>
void logistic_kernel(const NoiseRow& row, index_t first, index_t n, T* y, bool streaming) {
    write_noise<true, Logistic>(row, first, n, y, streaming);
}

// The quantiles of unit(0), unit(1), ..., in float64 for both types: as if all were in the middle, and once more for
// the tails, one number in seven, which are brought together first.
template <int vectors, class T, class Unit>
SORGUM_INLINE void normal_group(T* to, Unit&& unit) {
    using D = f64x16;
    constexpr double lane[kLanes] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const D half = splat<D>(0.5), zero = splat<D>(0.0), limit = splat<D>(kNormalMiddle);
    double least[(vectors + 1) * kLanes], place[(vectors + 1) * kLanes];  // the nearer end's sign is that of the result
    index_t outside = 0;
    for (int k = 0; k < vectors; ++k) {
        const auto p = unit(k);
        const D v = p.v(), q = v - half;
        const auto lower = lt(q, zero);
        const D size = select(lower, zero - q, q);
        const auto out = either(lt(limit, size), eq(limit, size));
        if constexpr (sizeof(T) == 4)
            store(to + k * kLanes, narrow(normal_middle(q)));
        else
            store(to + k * kLanes, normal_middle(q));
        compress(place + outside, out, load(lane) + splat<D>(k * kLanes));
        outside += compress(least + outside, out, select(lower, zero - v, p.u()));
    }
    for (index_t i = 0; i < outside; i += kLanes) {
        const D end = load_first(least + i, outside - i, kNormalMiddle);
        const auto lower = lt(end, zero);
        const D tail = normal_tail(select(lower, zero - end, end));
        store(least + i, select(lower, zero - tail, tail));
    }
    for (index_t i = 0; i < outside; ++i)
        to[static_cast<index_t>(place[i])] = static_cast<T>(least[i]);
}

template <class T>
void normal_kernel(const NoiseRow& row, index_t first, index_t n, T* y, bool streaming) {
    if (row.wide)
        write_groups<false>(row, first, n, kGroupWords / 2, y, streaming, [&](const i32x16* w, T* to) SORGUM_LAMBDA {
            normal_group<kGroupVectors / 2>(
                to, [&](int k) SORGUM_LAMBDA { return open_unit_wide<f64x16>(join(w[2 * k], w[2 * k + 1])); });
        });
    else
        write_groups<false>(row, first, n, kGroupWords, y, streaming, [&](const i32x16* w, T* to) SORGUM_LAMBDA {
            normal_group<kGroupVectors>(to, [&](int k) SORGUM_LAMBDA { return open_unit<f64x16>(zero_extend(w[k])); });
        });
}

SORGUM_ISA_END
