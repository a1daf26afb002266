#pragma once

#include "kernels/random/gumbel_max.h"
#include "kernels/random/words.inl.h"
#include "math/gumbel_max.h"

SORGUM_ISA_BEGIN

using namespace sorgum::random;

template <class T>
SORGUM_INLINE bool rejects_all(const Screen<vec<T>>& screen, const T* x, const i32x16* w) {
    const auto a = rejects(screen, load(x), w[0]), b = rejects(screen, load(x + kLanes), w[1]);
    const auto c = rejects(screen, load(x + 2 * kLanes), w[2]), d = rejects(screen, load(x + 3 * kLanes), w[3]);
    return all(both(both(a, b), both(c, d)));
}

// Elements [at, at + 64), of which the words are w: those that pass, worked out.
template <class T>
SORGUM_NOINLINE void enter_group(Screen<vec<T>>& screen, const T* x, const i32x16* w, index_t at, double temperature,
                                 Draw& best) {
    for (int k = 0; k < 4; ++k) {
        if (all(rejects(screen, load(x + k * kLanes), w[k])))
            continue;
        const index_t before = best.index;
        double noise[kLanes];
        store(noise, gumbel(open_unit<f64x16>(zero_extend(w[k]))) * splat<f64x16>(temperature));
        for (int i = 0; i < kLanes; ++i)
            enter(static_cast<double>(x[k * kLanes + i]), noise[i], at + k * kLanes + i, best);
        if (best.index != before)
            screen = make_screen<vec<T>>(temperature, best.value);
    }
}

template <class T>
void largest(const T* x, index_t first, index_t n, Draw& best) {
    const T least = static_cast<T>(minus_infinity());
    for (index_t i = 0; i < n; i += kLanes) {
        const vec<T> v = load_first(x + i, n - i, least);
        if (all(lt(v, splat<vec<T>>(static_cast<T>(best.value)))))
            continue;
        const index_t here = n - i < kLanes ? n - i : kLanes;
        for (index_t k = 0; k < here; ++k)
            enter(static_cast<double>(x[i + k]), 0.0, first + i + k, best);
    }
}

// Calls f(elements, words, index of the first) for groups of 64; elements beyond the row are -inf.
template <class T, class F>
SORGUM_INLINE void for_each_padded_group(const NoiseRow& row, const T* x, index_t first, index_t n, F&& f) {
    const index_t end = first + n;
    for_each_group(row, first, n, [&](index_t at, const i32x16* w) SORGUM_LAMBDA {
        const T* here = x + (at - first);
        T padded[kGroupWords];
        if (at < first || at + kGroupWords > end) {
            for (index_t i = 0; i < kGroupWords; ++i)
                padded[i] = at + i >= first && at + i < end ? here[i] : static_cast<T>(minus_infinity());
            here = padded;
        } else {
#pragma GCC unroll 4
            for (int k = 0; k < 4; ++k)
                prefetch_ahead(here + k * kLanes);
        }
        f(here, w, at);
    });
}

template <class T>
void gumbel_max_kernel(const NoiseRow& row, double temperature, const T* x, index_t first, index_t n, Draw& best) {
    if (temperature == 0.0)
        return largest(x, first, n, best);
    Screen<vec<T>> screen = make_screen<vec<T>>(temperature, best.value);
    for_each_padded_group(row, x, first, n, [&](const T* here, const i32x16* w, index_t at) SORGUM_LAMBDA {
        if (spoilt(best) || rejects_all(screen, here, w))
            return;
        const i32x16 kept[4] = {w[0], w[1], w[2], w[3]};
        enter_group(screen, here, kept, at, temperature, best);
    });
}

// The words of 16 indices: a whole block for each.
SORGUM_INLINE i32x16 words_at(const NoiseRow& row, PhiloxKey<i32x16> key, const index_t* index) {
    std::uint32_t word[kLanes];
    if (row.given != nullptr) {
        for (int k = 0; k < kLanes; ++k)
            word[k] = row.given[index[k]];
        return load_words(word);
    }
    std::uint32_t low[kLanes], high[kLanes], block[4][kLanes];
    for (int k = 0; k < kLanes; ++k) {
        low[k] = static_cast<std::uint32_t>(index[k] >> 2);
        high[k] = static_cast<std::uint32_t>(index[k] >> 34);
    }
    const Block<i32x16> b = philox<kPhiloxRounds>(
        Block<i32x16>{{load_words(low), load_words(high), splat_integer<i32x16>(low_word(row.position)),
                       splat_integer<i32x16>(high_word(row.position))}},
        key);
    for (int w = 0; w < 4; ++w)
        store(reinterpret_cast<float*>(block[w]), from_bits(b.word[w]));
    for (int k = 0; k < kLanes; ++k)
        word[k] = block[index[k] & 3][k];
    return load_words(word);
}

template <class T>
void gumbel_listed_kernel(const NoiseRow& row, double temperature, const T* x, const T* places, index_t first,
                          index_t n, Draw& best) {
    const PhiloxKey<std::int32_t> own = row_key(row);
    const PhiloxKey<i32x16> key = {{splat_integer<i32x16>(own.word[0]), splat_integer<i32x16>(own.word[1])}};
    Screen<vec<T>> screen = make_screen<vec<T>>(temperature, best.value);
    for (index_t i = 0; i < n; i += kLanes) {
        const index_t here = n - i < kLanes ? n - i : kLanes;
        index_t index[kLanes];
        for (index_t k = 0; k < kLanes; ++k)
            index[k] = first + bits(places[k < here ? i + k : i]);
        const i32x16 w = words_at(row, key, index);
        if (all(rejects(screen, load_first(x + i, here, static_cast<T>(minus_infinity())), w)))
            continue;
        double noise[kLanes];
        store(noise, gumbel(open_unit<f64x16>(zero_extend(w))) * splat<f64x16>(temperature));
        const index_t before = best.index;
        for (index_t k = 0; k < here; ++k)
            enter(static_cast<double>(x[i + k]), noise[k], index[k], best);
        if (best.index != before)
            screen = make_screen<vec<T>>(temperature, best.value);
    }
}

// A heap of draws whose root is the least; of equal ones the one of the highest index.
struct Heap {
    Draw* best;
    index_t most, count;

    SORGUM_INLINE bool less(index_t a, index_t b) const { return precedes(best[b], best[a]); }
    SORGUM_INLINE void swap(index_t a, index_t b) {
        const Draw d = best[a];
        best[a] = best[b];
        best[b] = d;
    }
    SORGUM_INLINE void sink(index_t at) {
        for (;;) {
            index_t least = at;
            for (index_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; ++child)
                least = less(child, least) ? child : least;
            if (least == at)
                return;
            swap(at, least);
            at = least;
        }
    }
    SORGUM_INLINE void enter(const Draw& d) {
        if (count == most) {
            if (!precedes(d, best[0]))
                return;
            best[0] = d;
            return sink(0);
        }
        best[count] = d;
        for (index_t at = count++; at > 0 && less(at, (at - 1) / 2); at = (at - 1) / 2)
            swap(at, (at - 1) / 2);
    }
    // Whom a newcomer has to beat.
    SORGUM_INLINE double bar() const { return count == most ? best[0].value : minus_infinity(); }
};

template <class T>
SORGUM_NOINLINE void enter_group(Screen<vec<T>>& screen, const T* x, const i32x16* w, index_t at, Heap& heap) {
    for (int k = 0; k < 4; ++k) {
        if (all(rejects(screen, load(x + k * kLanes), w[k])))
            continue;
        double noise[kLanes];
        store(noise, gumbel(open_unit<f64x16>(zero_extend(w[k]))));
        for (int i = 0; i < kLanes; ++i) {
            Draw one = {minus_infinity(), 0.0, -1};
            enter(static_cast<double>(x[k * kLanes + i]), noise[i], at + k * kLanes + i, one);
            if (spoilt(one)) {
                heap.count = -1;
                return;
            }
            if (one.index >= 0)
                heap.enter(one);
        }
        screen = make_screen<vec<T>>(1.0, heap.bar());
    }
}

template <class T>
void gumbel_top_kernel(const NoiseRow& row, const T* x, index_t first, index_t n, Draw* best, index_t most,
                       index_t& count) {
    Heap heap = {best, most, count};
    Screen<vec<T>> screen = make_screen<vec<T>>(1.0, heap.bar());
    for_each_padded_group(row, x, first, n, [&](const T* here, const i32x16* w, index_t at) SORGUM_LAMBDA {
        if (heap.count < 0 || rejects_all(screen, here, w))
            return;
        const i32x16 kept[4] = {w[0], w[1], w[2], w[3]};
        enter_group(screen, here, kept, at, heap);
    });
    count = heap.count;
}

SORGUM_ISA_END
