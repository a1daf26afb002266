#pragma once

#include "kernels/sor/squares.h"
#include "math/exact_sum.h"
#include "math/format.h"
#include "math/reduce_tree.h"
#include "simd/simd.h"

SORGUM_ISA_BEGIN

using namespace sorgum::sor;

// 16 elements; those beyond n are 0, whose products change no sum.
SORGUM_INLINE f64x16 doubles_at(const double* r, index_t i, index_t n) {
    return i + kLanes <= n ? load(r + i) : load_first(r + i, n - i, 0.0);
}
SORGUM_INLINE f64x16 doubles_at(const float* r, index_t i, index_t n) {
    return i + kLanes <= n ? load_wide(r + i) : widen(load_first(r + i, n - i, 0.0f));
}

// The largest magnitude that is no NaN's; whether there are NaNs and infinities goes to `sum`.
template <class T>
SORGUM_INLINE double largest_magnitude(const T* r, index_t n, SquaresSum& sum) {
    const auto but_sign = splat_integer<i64x16>(Format<double>::infinity | (Format<double>::infinity - 1));
    f64x16 largest = splat<f64x16>(0.0), spoilt = largest;  // the latter NaN where there is NaN or infinity
    for (index_t i = 0; i < n; i += kLanes) {
        const f64x16 v = doubles_at(r, i, n);
        largest = max(from_bits(int_and(bits(v), but_sign)), largest);
        spoilt = spoilt + (v - v);
    }
    const double found = fold_max(largest);
    if (any(is_nan(spoilt))) {
        for (index_t i = 0; i < n; ++i)
            sum.has_nan = sum.has_nan || is_nan(r[i]);
        sum.has_inf = sum.has_inf || found == from_bits(Format<double>::infinity);
    }
    return found;
}

SORGUM_INLINE double scale_exponent(double largest) {
    constexpr double most = Format<double>::exponent_bias - 1;
    return max(min(exponent_of(largest), most), -most);
}

SORGUM_INLINE f64x16 scale_by(double exponent) {
    return splat<f64x16>(power_of_two(Format<double>::round_magic + double(Format<double>::exponent_bias) - exponent));
}

template <class T>
void products_add_kernel(const T* x, const T* y, index_t n, SquaresSum& sum) {
    const double x_largest = largest_magnitude(x, n, sum);
    const double y_largest = y == x ? x_largest : largest_magnitude(y, n, sum);
    if (sum.has_nan || sum.has_inf || x_largest == 0.0 || y_largest == 0.0)
        return;  // what is NaN or infinite needs no sum
    const double x_exponent = scale_exponent(x_largest), y_exponent = scale_exponent(y_largest);
    const f64x16 x_scale = scale_by(x_exponent), y_scale = scale_by(y_exponent);
    f64x16 lanes = splat<f64x16>(0.0);
    for (index_t i = 0; i < n; i += kGroup * kLanes)
        lanes = lanes + tree_sum<kGroup>([&](int v) SORGUM_LAMBDA {
                    const index_t at = i + v * kLanes;
                    return (doubles_at(x, at, n) * x_scale) * (doubles_at(y, at, n) * y_scale);
                });
    exact_sum_add(sum.finite, fold_sum(lanes), static_cast<index_t>(x_exponent) + static_cast<index_t>(y_exponent), 1);
}

template <class T>
void squares_add_kernel(const T* r, index_t n, SquaresSum& sum) {
    products_add_kernel(r, r, n, sum);
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
