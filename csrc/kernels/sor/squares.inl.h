#pragma once

#include "kernels/sor/squares.h"
#include "math/exact_sum.h"
#include "math/format.h"
#include "math/reduce_tree.h"
#include "simd/simd.h"

SORGUM_ISA_BEGIN

using namespace sorgum::sor;

// 16 elements; those beyond n are 0, whose squares change no sum.
template <class T>
SORGUM_INLINE vec<T> elements_at(const T* r, index_t i, index_t n) {
    return i + kLanes <= n ? load(r + i) : load_first(r + i, n - i, T(0));
}

// The largest magnitude that is no NaN's; whether there are NaNs and infinities goes to `sum`.
template <class T>
SORGUM_INLINE T largest_magnitude(const T* r, index_t n, SquaresSum& sum) {
    using V = vec<T>;
    const auto but_sign = splat_integer<integer_t<V>>(Format<T>::infinity | (Format<T>::infinity - 1));
    V largest = splat<V>(T(0)), spoilt = splat<V>(T(0));  // the latter NaN where there is NaN or infinity
    for (index_t i = 0; i < n; i += kLanes) {
        const V v = elements_at(r, i, n);
        largest = max(from_bits(int_and(bits(v), but_sign)), largest);
        spoilt = spoilt + (v - v);
    }
    const T found = fold_max(largest);
    if (any(is_nan(spoilt))) {
        for (index_t i = 0; i < n; ++i)
            sum.has_nan = sum.has_nan || is_nan(r[i]);
        sum.has_inf = sum.has_inf || found == from_bits(Format<T>::infinity);
    }
    return found;
}

template <class T>
void squares_add_kernel(const T* r, index_t n, SquaresSum& sum) {
    using V = vec<T>;
    const T largest = largest_magnitude(r, n, sum);
    if (sum.has_nan || sum.has_inf || largest == T(0))
        return;  // a norm that is NaN or infinite needs no sum
    constexpr T most = T(Format<T>::exponent_bias - 1);
    const T exponent = max(min(exponent_of(largest), most), -most);
    const V scale = splat<V>(power_of_two(Format<T>::round_magic + T(Format<T>::exponent_bias) - exponent));
    const auto square = [&](index_t i) SORGUM_LAMBDA {
        const V v = elements_at(r, i, n) * scale;
        return v * v;
    };
    V lanes = splat<V>(T(0));
    for (index_t i = 0; i < n; i += kGroup * kLanes)
        lanes = lanes + tree_sum<kGroup>([&](int v) SORGUM_LAMBDA { return square(i + v * kLanes); });
    exact_sum_add(sum.finite, fold_sum(lanes), 2 * static_cast<index_t>(exponent), 1);
}

template <class T>
void squares_merge_kernel(SquaresSum& into, const SquaresSum& from) {
    exact_sum_merge(into.finite, from.finite);
    into.has_nan = into.has_nan || from.has_nan;
    into.has_inf = into.has_inf || from.has_inf;
}

template <class T>
double squares_total_kernel(const SquaresSum& sum, index_t& exponent) {
    const double value = exact_sum_finish(sum.finite, exponent);
    if (exponent % 2 == 0)
        return value;
    --exponent;
    return 2.0 * value;
}

SORGUM_ISA_END
