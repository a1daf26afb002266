#pragma once

#include "kernels/common/elementwise.inl.h"
#include "kernels/random/gumbel_max.h"
#include "kernels/random/words.inl.h"
#include "math/gumbel_max.h"

SORGUM_ISA_BEGIN

using namespace sorgum::random;

template <class S>
SORGUM_INLINE bool rejects_all(const Screen<vec<computed_t<S>>>& screen, const S* x, const i32x16* w) {
    auto rejected = rejects(screen, load_computed(x), w[0]);
#pragma GCC unroll 8
    for (int k = 1; k < kGroupVectors; ++k)
        rejected = both(rejected, rejects(screen, load_computed(x + k * kLanes), w[k]));
    return all(rejected);
}

// Before there is a best element nothing is rejected, but -inf never wins.
template <class T>
SORGUM_INLINE bool none_can_win(const Screen<vec<T>>& screen, vec<T> x, i32x16 w) {
    return all(either(rejects(screen, x, w), eq(x, splat<vec<T>>(static_cast<T>(minus_infinity())))));
}

// Computes x + T G of the elements of a group, from `at` on, that the screening lets pass; their words are w.
template <class T>
SORGUM_NOINLINE void enter_group(Screen<vec<T>>& screen, const T* x, const i32x16* w, index_t at, double temperature,
                                 Draw& best) {
    for (int k = 0; k < kGroupVectors; ++k) {
        if (none_can_win<T>(screen, load(x + k * kLanes), w[k]))
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

// Calls f(element, its place) for those that are not below the bar, which f may raise.
template <class S, class Bar, class F>
SORGUM_INLINE void for_each_from(const S* x, index_t n, Bar&& bar, F&& f) {
    using T = computed_t<S>;
    for (index_t i = 0; i < n; i += kLanes) {
        const vec<T> v = load_computed_first(x + i, n - i, static_cast<T>(minus_infinity()));
        if (all(lt(v, splat<vec<T>>(static_cast<T>(bar())))))
            continue;
        T elements[kLanes];
        store(elements, v);
        for (index_t k = 0; k < kLanes && i + k < n; ++k)
            f(static_cast<double>(elements[k]), i + k);
    }
}

SORGUM_INLINE float minus_infinity_as(float /*tag*/) { return static_cast<float>(minus_infinity()); }
SORGUM_INLINE double minus_infinity_as(double /*tag*/) { return minus_infinity(); }
SORGUM_INLINE float16 minus_infinity_as(float16 /*tag*/) { return {0xFC00}; }
SORGUM_INLINE bfloat16 minus_infinity_as(bfloat16 /*tag*/) { return {0xFF80}; }

// Calls f(elements, words, index of the first) for groups; elements beyond the row are -inf.
template <class S, class F>
SORGUM_INLINE void for_each_padded_group(const NoiseRow& row, const S* x, index_t first, index_t n, F&& f) {
    const index_t end = first + n;
    for_each_group(row, first, n, [&](index_t at, const i32x16* w) SORGUM_LAMBDA {
        const S* here = x + (at - first);
        S padded[kGroupWords];
        if (at < first || at + kGroupWords > end) {
            for (S& one : padded)
                one = minus_infinity_as(S());
            const index_t from = at < first ? first - at : 0, to = end - at < kGroupWords ? end - at : kGroupWords;
            __builtin_memcpy(padded + from, here + from, static_cast<std::size_t>(to - from) * sizeof(S));
            here = padded;
        } else {
#pragma GCC unroll 8
            for (int k = 0; k < kGroupVectors; ++k)
                prefetch_ahead(here + k * kLanes);
        }
        f(here, w, at);
    });
}

// A group of which somebody may win, in memory, halves as float32.
template <class S>
struct Group {
    computed_t<S> x[kGroupWords];
    i32x16 w[kGroupVectors];

    SORGUM_INLINE Group(const S* elements, const i32x16* words) {
        for (int k = 0; k < kGroupVectors; ++k) {
            store(x + k * kLanes, load_computed(elements + k * kLanes));
            w[k] = words[k];
        }
    }
};

template <class S>
void gumbel_max_kernel(const NoiseRow& row, double temperature, const S* x, index_t first, index_t n, Draw& best) {
    using T = computed_t<S>;
    if (temperature == 0.0)
        return for_each_from(
            x, n, [&]() SORGUM_LAMBDA { return best.value; },
            [&](double e, index_t i) SORGUM_LAMBDA { enter(e, 0.0, first + i, best); });
    Screen<vec<T>> screen = make_screen<vec<T>>(temperature, best.value);
    for_each_padded_group(row, x, first, n, [&](const S* here, const i32x16* w, index_t at) SORGUM_LAMBDA {
        if (spoilt(best) || rejects_all(screen, here, w))
            return;
        const Group<S> group(here, w);
        enter_group(screen, group.x, group.w, at, temperature, best);
    });
}

SORGUM_INLINE i32x16 load_places(const float* p, index_t n) { return bits(load_first(p, n, 0.0f)); }
SORGUM_INLINE i32x16 load_places(const double* p, index_t n) {
    std::uint32_t narrow[kLanes];
    for (index_t k = 0; k < kLanes; ++k)
        narrow[k] = k < n ? static_cast<std::uint32_t>(bits(p[k])) : 0;
    return load_words(narrow);
}

// The words of the indices first + place, 0 <= place < 2^31: a whole block for each.
class WordsAt {
public:
    SORGUM_INLINE WordsAt(const NoiseRow& row, index_t first)
        : given_(row.given == nullptr ? nullptr : row.given + first),
          block_(splat_integer<i32x16>(first >> 2)),
          high_(splat_integer<i32x16>(first >> 34)),
          within_(splat_integer<i32x16>(first & 3)) {
        const PhiloxKey<std::int32_t> own = row_key(row);
        for (int k = 0; k < 2; ++k)
            key_.word[k] = splat_integer<i32x16>(own.word[k]);
        position_[0] = splat_integer<i32x16>(low_word(row.position));
        position_[1] = splat_integer<i32x16>(high_word(row.position));
    }
    SORGUM_INLINE i32x16 operator()(i32x16 place) const {
        if (given_ != nullptr)
            return look_up(place);
        const i32x16 at = int_add(place, within_);
        const i32x16 low = int_add(block_, shift_right<2>(at));
        // What is added is below 2^31: there is a carry where the highest bit was set and is no more.
        const i32x16 carry = shift_right<31>(int_and(block_, int_xor(low, splat_integer<i32x16>(-1))));
        const Block<i32x16> b =
            philox<kPhiloxRounds>(Block<i32x16>{{low, int_add(high_, carry), position_[0], position_[1]}}, key_);
        const f32x16 which = to_float(int_and(at, splat_integer<i32x16>(3)));
        f32x16 word = from_bits(b.word[3]);
        for (int k = 0; k < 3; ++k)
            word = select(eq(which, splat<f32x16>(static_cast<float>(k))), from_bits(b.word[k]), word);
        return bits(word);
    }

private:
    SORGUM_INLINE i32x16 look_up(i32x16 place) const {
        float at[kLanes];
        std::uint32_t word[kLanes];
        store(at, from_bits(place));
        for (int k = 0; k < kLanes; ++k)
            word[k] = given_[bits(at[k])];
        return load_words(word);
    }

    const std::uint32_t* given_;
    i32x16 block_, high_, within_, position_[2];
    PhiloxKey<i32x16> key_;
};

template <class T>
void gumbel_listed_kernel(const NoiseRow& row, double temperature, const T* x, const T* places, index_t first,
                          index_t n, Draw& best) {
    const WordsAt words(row, first);
    Screen<vec<T>> screen = make_screen<vec<T>>(temperature, best.value);
    for (index_t i = 0; i < n; i += kLanes) {
        const index_t here = n - i < kLanes ? n - i : kLanes;
        const i32x16 w = words(load_places(places + i, here));
        if (all(rejects(screen, load_first(x + i, here, static_cast<T>(minus_infinity())), w)))
            continue;
        double noise[kLanes];
        store(noise, gumbel(open_unit<f64x16>(zero_extend(w))) * splat<f64x16>(temperature));
        const index_t before = best.index;
        for (index_t k = 0; k < here; ++k)
            enter(static_cast<double>(x[i + k]), noise[k], first + bits(places[i + k]), best);
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
    // The one that a new draw has to beat.
    SORGUM_INLINE double bar() const { return count == most ? best[0].value : minus_infinity(); }
};

// Enters x + noise; false if that spoils the row.
SORGUM_INLINE bool enter(double x, double noise, index_t index, Heap& heap) {
    if (x + noise < heap.bar())
        return true;
    Draw one = {minus_infinity(), 0.0, -1};
    enter(x, noise, index, one);
    if (spoilt(one))
        heap.count = -1;
    else if (one.index >= 0)
        heap.enter(one);
    return heap.count >= 0;
}

template <class T>
SORGUM_NOINLINE void enter_group(Screen<vec<T>>& screen, const T* x, const i32x16* w, index_t at, double temperature,
                                 Heap& heap) {
    for (int k = 0; k < kGroupVectors; ++k) {
        if (none_can_win<T>(screen, load(x + k * kLanes), w[k]))
            continue;
        double noise[kLanes];
        store(noise, gumbel(open_unit<f64x16>(zero_extend(w[k]))) * splat<f64x16>(temperature));
        for (int i = 0; i < kLanes; ++i)
            if (!enter(static_cast<double>(x[k * kLanes + i]), noise[i], at + k * kLanes + i, heap))
                return;
        screen = make_screen<vec<T>>(temperature, heap.bar());
    }
}

template <class S>
void gumbel_top_kernel(const NoiseRow& row, double temperature, const S* x, index_t first, index_t n, Draw* best,
                       index_t most, index_t& count) {
    using T = computed_t<S>;
    Heap heap = {best, most, count};
    if (temperature == 0.0) {
        for_each_from(
            x, n, [&]() SORGUM_LAMBDA { return heap.bar(); },
            [&](double e, index_t i) SORGUM_LAMBDA {
                if (heap.count >= 0)
                    enter(e, 0.0, first + i, heap);
            });
        count = heap.count;
        return;
    }
    Screen<vec<T>> screen = make_screen<vec<T>>(temperature, heap.bar());
    for_each_padded_group(row, x, first, n, [&](const S* here, const i32x16* w, index_t at) SORGUM_LAMBDA {
        if (heap.count < 0 || rejects_all(screen, here, w))
            return;
        const Group<S> group(here, w);
        enter_group(screen, group.x, group.w, at, temperature, heap);
    });
    count = heap.count;
}

SORGUM_ISA_END
