// logsumexp with weights. Products are formed and added in float64, with compensation: weights may cancel.
//
// Terms far below a chunk's largest are zeros, so what is small before it is weighted must not become large. The
// elements of a chunk go to bands, each within so many powers of two of its largest weight and with a maximum of its
// own; a band is summed like a chunk. Ordinary weights make one band.
#pragma once

#include "kernels/special/softmax.inl.h"

SORGUM_ISA_BEGIN

// Below the largest weight of a band. What w drops is then below 2^-125 of the band's largest term (2^-154), and so is
// what a product of float64 loses as a subnormal.
template <class T>
inline constexpr T kBandWidth = sizeof(T) == 4 ? T(0x1p-64) : T(0x1p-960);

// The elements whose weights are in (low, high] by magnitude; an element with NaN is in every band.
template <class T>
struct Band {
    using V = vec<T>;
    T high, low;
    bool whole;  // no weight is outside

    SORGUM_INLINE V only(V b, V value, V otherwise) const {
        const V size = max(splat<V>(T(0)) - b, b), least = splat<V>(low);
        const auto below = either(lt(size, least), eq(size, least));
        return select(either(below, lt(splat<V>(high), size)), otherwise, value);
    }
};

// Whether all weights but 0 are above a limit by magnitude.
template <class T>
SORGUM_INLINE bool weights_above(const T* b, index_t n, T limit) {
    using V = vec<T>;
    const V zero = splat<V>(T(0)), most = splat<V>(from_bits(Format<T>::infinity));
    V least = most;
    for (index_t i = 0; i < n; i += kLanes) {
        const V weight = load_first(b + i, n - i, T(0)), size = max(zero - weight, weight);
        least = min(select(eq(size, zero), most, size), least);
    }
    return !any(either(lt(least, splat<V>(limit)), eq(least, splat<V>(limit))));
}

// The largest weight, by magnitude, that is not above a limit.
template <class T>
SORGUM_INLINE T largest_weight(const T* b, index_t n, T limit) {
    using V = vec<T>;
    const V zero = splat<V>(T(0));
    V m = zero;
    for (index_t i = 0; i < n; i += kLanes) {
        const V weight = load_first(b + i, n - i, T(0)), size = max(zero - weight, weight);
        m = max(select(lt(splat<V>(limit), size), zero, size), m);
    }
    return fold_max(m);
}

template <class T>
SORGUM_INLINE T max_in_band(const T* x, const T* b, index_t n, const Band<T>& band) {
    using V = vec<T>;
    const T least = -from_bits(Format<T>::infinity);
    if (band.whole)
        return max_of(x, n);
    V m = splat<V>(least);
    for (index_t i = 0; i < n; i += kLanes)
        m = max(band.only(load_first(b + i, n - i, T(0)), load_first(x + i, n - i, least), splat<V>(least)), m);
    return fold_max(m);
}

// In units of 2^weight_exponent, which makes the weights of the band at most 2.
template <bool shifted, bool whole, class T>
SORGUM_NOINLINE double weighted_chunk(const T* x, const T* b, index_t n, const Reference<T>& ref,
                                      const ExpScale<T>& scale, T max_x, const Band<T>& band, index_t weight_exponent) {
    using V = vec<T>;
    const T least = -from_bits(Format<T>::infinity);
    const Terms<shifted, T> terms(ref.map, scale, max_x);
    const f64x16 unit = splat<f64x16>(power_of_two_f64(-weight_exponent));
    LaneSum<double> lanes;
    for (index_t i = 0; i < n; i += kLanes) {
        const V weights = load_first(b + i, n - i, T(0)), all = load_first(x + i, n - i, least);
        const V e = whole ? all : band.only(weights, all, splat<V>(least));
        const V factor = whole ? weights : band.only(weights, weights, splat<V>(T(0)));
        lanes.add(to_f64(terms.value(e)) * (to_f64(factor) * unit));
    }
    return fold_sum(lanes.lanes());
}

// Why a sum is not finite: NaN, or terms that are infinite by their element or their weight.
template <class T>
SORGUM_NOINLINE void find_infinite_terms(const T* x, const T* b, index_t n, RowSum<T>& row) {
    const T inf = from_bits(Format<T>::infinity);
    for (index_t j = 0; j < n; ++j) {
        row.has_nan = row.has_nan || x[j] != x[j] || b[j] != b[j];
        const bool infinite = x[j] == inf || (x[j] > -inf && (b[j] == inf || b[j] == -inf));
        row.has_inf = row.has_inf || (infinite && b[j] > T(0));
        row.has_minus_inf = row.has_minus_inf || (infinite && b[j] < T(0));
    }
}

template <class T>
SORGUM_INLINE void add_band(const T* x, const T* b, index_t n, const Band<T>& band, const ExpScale<T>& scale,
                            RowSum<T>& row) {
    const T inf = from_bits(Format<T>::infinity);
    const T max_x = max_in_band(x, b, n, band) + T(0);
    const Reference<T> ref = make_reference(scale, max_x);
    const index_t field = (bits(static_cast<double>(band.high)) >> 52) & 0x7FF;
    const index_t weight_exponent = field == 0 ? -1022 : field - 1023;
    const bool plain = !ref.shifted && scale.prescale == T(1);
    double sum = __builtin_nan("");
    if (max_x != inf && band.high != inf) {
        auto* const summed = plain ? (band.whole ? weighted_chunk<false, true, T> : weighted_chunk<false, false, T>)
                                   : (band.whole ? weighted_chunk<true, true, T> : weighted_chunk<true, false, T>);
        sum = summed(x, b, n, ref, scale, max_x, band, weight_exponent);
    }
    if (sum != sum)
        find_infinite_terms(x, b, n, row);
    if (row.has_nan || row.has_inf || row.has_minus_inf || max_x == -inf)
        return;
    const bool row_was_far = is_far(scale, row.max);
    if (max_x > row.max) {
        row.max = max_x;
        if (ref.far || row_was_far)
            exact_sum_clear(row.others);
    } else if (max_x < row.max && (row_was_far || ref.far)) {
        return;  // negligible beside what is there
    }
    exact_sum_add(row.others, sum, ref.exponent - kHeadroom<T> + weight_exponent, 1);
}

template <class T>
void weighted_sum_kernel(const T* x, const T* b, index_t n, const ExpScale<T>& scale, RowSum<T>& row) {
    const T inf = from_bits(Format<T>::infinity);
    for (index_t i = 0; i < n; i += kChunk) {
        const index_t here = n - i < kChunk ? n - i : kChunk;
        T high = largest_weight(b + i, here, inf);
        const bool whole = weights_above(b + i, here, high * kBandWidth<T>);
        do {
            const Band<T> band = {high, high * kBandWidth<T>, whole};
            add_band(x + i, b + i, here, band, scale, row);
            high = whole || high == inf ? T(0) : largest_weight(b + i, here, band.low);
        } while (high > T(0));
    }
}

template <class T>
void weighted_result_kernel(const RowSum<T>& row, const ExpScale<T>& scale, double& log_abs, double& sign) {
    weighted_result(row, scale, log_abs, sign);
}

SORGUM_ISA_END
