#pragma once

#include "kernels/random/inverse.h"
#include "kernels/special/extexp_sum.inl.h"

SORGUM_ISA_BEGIN

using namespace sorgum::random;

template <class S>
void chunk_masses_kernel(const S* x, index_t n, const ExpScale<computed_t<S>>& scale, ChunkMass* masses) {
    using T = computed_t<S>;
    const auto is_infinite = [](T max) SORGUM_LAMBDA { return max - max != T(0); };
    const auto sum = [&](const ChunkOnTheWay<S>& chunk, T& next_max, bool& swept) SORGUM_LAMBDA -> ChunkSum<T> {
        if (is_infinite(chunk.max))  // +inf, or none but -inf and NaN, which shows in no maximum
            return {0, chunk.max > T(0) || any_nan(chunk.x, chunk.n) ? from_bits(Format<double>::quiet_nan) : 0.0};
        if (chunk.is_regular(scale))
            return chunk.sum_and_sweep(scale, next_max, swept, NoSide());
        return sum_chunk<true, false>(chunk.x, chunk.n, chunk.ref.map, scale, chunk.max, chunk.x, next_max, NoSide(),
                                      chunk.at);
    };
    walk_chunks(x, n, scale, sum, [&](const ChunkOnTheWay<S>& chunk, const ChunkSum<T>& sum_of_it) SORGUM_LAMBDA {
        const bool infinite = is_infinite(chunk.max), far = !infinite && chunk.ref.far;
        const double count = static_cast<double>(sum_of_it.count);
        const double others = sum_of_it.others * power_of_two_f64(-kHeadroom<T>);
        const double value = far && others == others ? count : count * chunk.ref.max_mantissa + others;
        const double max = infinite ? -from_bits(Format<double>::infinity) : static_cast<double>(chunk.max);
        *masses++ = {max, value, chunk.ref.exponent, far};
    });
}

SORGUM_INLINE index_t scaled_word(std::uint64_t word, index_t total) {  // in [0, total)
    return static_cast<index_t>((static_cast<unsigned __int128>(word) * static_cast<std::uint64_t>(total)) >> 64);
}

// Masses of a row as integers, the heaviest at least 2^(digits - 1), their sum below 2^62.
struct IntegerMasses {
    bool far, some;
    double max;
    index_t top, total;
    int digits;

    SORGUM_INLINE bool counts(const ChunkMass& m) const { return m.value > 0 && m.far == far; }
    SORGUM_INLINE index_t of(const ChunkMass& m) const {
        if (!counts(m))
            return 0;
        if (far)
            return m.max == max ? static_cast<index_t>(m.value) : 0;
        return static_cast<index_t>(scale_by_power_f64(m.value, m.exponent - top + digits));
    }
    SORGUM_INLINE IntegerMasses(const ChunkMass* masses, index_t n) : far(false), some(false), max(0.0) {
        for (index_t i = 0; i < n; ++i)
            if (masses[i].value > 0 && (!some || masses[i].max > max)) {
                max = masses[i].max;
                far = masses[i].far;  // where the largest is far, nothing else counts; where not, what is far does not
                some = true;
            }
        top = INT64_MIN;
        for (index_t i = 0; i < n; ++i)
            if (counts(masses[i]) && masses[i].exponent > top)
                top = masses[i].exponent;
        digits = 62 - 14;  // a value is below 2^14
        for (index_t chunks = n; chunks > 1; chunks = (chunks + 1) / 2)
            --digits;
        total = 0;
        for (index_t i = 0; i < n; ++i)
            total += of(masses[i]);
    }
};

template <class T>
index_t choose_chunk_kernel(const ChunkMass* masses, index_t n, std::uint64_t word) {
    for (index_t i = 0; i < n; ++i)
        if (masses[i].value != masses[i].value)
            return -2;
    const IntegerMasses integers(masses, n);
    if (!integers.some)
        return -1;
    index_t left = scaled_word(word, integers.total), i = 0;
    for (;; ++i) {
        left -= integers.of(masses[i]);
        if (left < 0)
            return i;
    }
}

// Weights of a chunk's elements as integers: w has its largest below 2^(kHeadroom + 1/2), they below 2^50.5.
template <bool shifted, class T>
struct Weights {
    const T* x;
    index_t n;
    Terms<shifted, T> terms;

    SORGUM_INLINE i64x16 vector(index_t i) const {
        const f64x16 unit = splat<f64x16>(sizeof(T) == 4 ? 0x1p-13 : 0x1p-42), magic = splat<f64x16>(0x1p52);
        static_assert(kHeadroom<T> == (sizeof(T) == 4 ? 63 : 92));
        const vec<T> w = terms.value(load_first(x + i, n - i, -from_bits(Format<T>::infinity)));
        f64x16 wide;
        if constexpr (sizeof(T) == 4)
            wide = widen(w);
        else
            wide = w;
        return int_sub(bits(fma(wide, unit, magic)), bits(magic));
    }
};

// 1 for the largest elements, 0 for the others.
template <class T>
struct Largest {
    const T* x;
    index_t n;
    T max;

    SORGUM_INLINE i64x16 vector(index_t i) const {
        const vec<T> v = load_first(x + i, n - i, -from_bits(Format<T>::infinity));
        const vec<T> one = splat<vec<T>>(T(1)), hit = select(eq(v, splat<vec<T>>(max)), one, one - one);
        if constexpr (sizeof(T) == 4)
            return int_sub(bits(widen(hit) + splat<f64x16>(0x1p52)), bits(splat<f64x16>(0x1p52)));
        else
            return int_sub(bits(hit + splat<f64x16>(0x1p52)), bits(splat<f64x16>(0x1p52)));
    }
};

template <class W>
SORGUM_INLINE index_t draw_by_weights(const W& weights, index_t n, std::uint64_t word) {
    constexpr index_t kStep = kGroup * kLanes;
    index_t groups[kChunk / kStep];
    index_t total = 0;
    for (index_t i = 0; i < n; i += kStep) {
        i64x16 sum = weights.vector(i);
        for (index_t k = i + kLanes; k < i + kStep && k < n; k += kLanes)
            sum = int_add(sum, weights.vector(k));
        groups[i / kStep] = fold_count(sum);
        total += groups[i / kStep];
    }
    index_t left = scaled_word(word, total), g = 0;
    for (; left >= groups[g]; ++g)
        left -= groups[g];
    for (index_t i = g * kStep;; i += kLanes) {
        double encoded[kLanes];
        store(encoded, from_bits(weights.vector(i)));
        for (int k = 0; k < kLanes; ++k) {
            left -= bits(encoded[k]);
            if (left < 0)
                return i + k;
        }
    }
}

template <class T>
index_t draw_in_chunk_kernel(const T* x, index_t n, const ExpScale<T>& scale, double max, std::uint64_t word) {
    const T largest = static_cast<T>(max);
    const Reference<T> ref = make_reference(scale, largest);
    if (ref.far)
        return draw_by_weights(Largest<T>{x, n, largest}, n, word);
    if (ref.shifted || scale.prescale != T(1))
        return draw_by_weights(Weights<true, T>{x, n, Terms<true, T>(ref.map, scale, largest)}, n, word);
    return draw_by_weights(Weights<false, T>{x, n, Terms<false, T>(ref.map, scale, largest)}, n, word);
}

SORGUM_ISA_END
