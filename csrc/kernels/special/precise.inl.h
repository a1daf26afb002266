// log(sum / exp(max / T)) of few or peaked terms: those other than the maximum's are summed in float64.
//
// When few elements carry the sum, the rounding errors of their float terms do not average out, and log(1 + z) passes
// them on: an error of d ULP of z costs the result up to 2 (1 - exp(-L)) d ULP for L = log(1 + z) in [1/2, 1), and up
// to 2 d below. Such rows, and all short ones, are summed from wide terms, which are not rounded to float: that leaves
// d = 0.55. For float64 elements there is nothing wider: their bound is larger instead (docs/numerics/special.md).
#pragma once

#include "kernels/special/extexp_sum.inl.h"
#include "kernels/special/softmax.h"

SORGUM_ISA_BEGIN

// The terms in float64, less rounded than those of every other sum; 0 for the maximum.
template <bool shifted>
struct WideTerms {
    Terms<shifted, float> terms;

    SORGUM_INLINE f64x16 operator()(f32x16 e) const { return terms.wide(e, eq(e, terms.max)); }
};

// The sum of term(0, whole), term(16, whole), ... of a chunk of n elements, in lanes and in the order of every sum.
template <class F>
SORGUM_INLINE f64x16 precise_lanes(index_t n, F&& term) {
    constexpr index_t step = kGroup / 2 * kLanes;
    LaneSum<double> lanes;
    f64x16 first = splat<f64x16>(0.0), half;
    for (index_t i = 0; i < n; i += step) {
        if (i + step <= n) {
            half = tree_sum<kGroup / 2>([&](int v) SORGUM_LAMBDA { return term(i + v * kLanes, true); });
        } else {
            f64x16 w[kGroup / 2];
            for (int v = 0; v < kGroup / 2; ++v)
                w[v] = splat<f64x16>(0.0);
            index_t at = i;
#pragma GCC unroll 1
            for (int v = 0; at < n; ++v, at += kLanes)
                w[v] = term(at, at + kLanes <= n);
            half = tree_sum<kGroup / 2>([&](int v) SORGUM_LAMBDA { return w[v]; });
        }
        if (i / step % 2 != 0)
            lanes.add(first + half);
        else if (i + step >= n)
            lanes.add(half);
        first = half;
    }
    return lanes.lanes();
}

// The others of a chunk by terms of its elements.
template <class F>
SORGUM_NOINLINE f64x16 precise_lanes(const float* x, index_t n, const F& terms) {
    return precise_lanes(n, [&](index_t at, bool whole) SORGUM_LAMBDA {
        return terms(whole ? load(x + at) : load_first(x + at, n - at, -from_bits(Format<float>::infinity)));
    });
}

template <class F>
SORGUM_INLINE void add_chunks(const float* x, index_t n, const F& terms, ExactSum& sum) {
    for (index_t i = 0; i < n; i += kChunk)
        exact_sum_add(sum, fold_sum(precise_lanes(x + i, n - i < kChunk ? n - i : kChunk, terms)), -kHeadroom<float>,
                      1);
}

template <class T>
SORGUM_NOINLINE void precise_sum(const T* x, index_t n, const ExpScale<T>& scale, const RowResult<T>& row,
                                 RowSum<T>& sum) {
    if constexpr (sizeof(T) == 4) {
        const Reference<T> ref = reference_of(scale, row.max);
        if (ref.shifted || scale.prescale != T(1))
            add_chunks(x, n, WideTerms<true>{{ref.map, scale, row.max}}, sum.others);
        else
            add_chunks(x, n, WideTerms<false>{{ref.map, scale, row.max}}, sum.others);
    }
}

template <class T>
SORGUM_HD void precise_result(const RowSum<T>& sum, RowResult<T>& row) {
    index_t e;
    const double mantissa = exact_sum_finish(sum.others, e);
    const double others = mantissa == 0.0 ? 0.0 : scale_by_power_f64(mantissa, e);
    row.log_excess = log1p_positive(row_excess(row.count, others, row.max_mantissa));
}

template <class T>
SORGUM_NOINLINE void refine(RowResult<T>& row, const T* x, index_t n, const ExpScale<T>& scale) {
    if (special::needs_precision(row, n)) {
        RowSum<T> sum;
        row_sum_clear(sum);
        precise_sum(x, n, scale, row, sum);
        precise_result(sum, row);
    }
}

template <class T>
void precise_sum_kernel(const T* x, index_t n, const ExpScale<T>& scale, const RowResult<T>& row, RowSum<T>& sum) {
    precise_sum(x, n, scale, row, sum);
}

template <class T>
void precise_result_kernel(const RowSum<T>& sum, RowResult<T>& row) {
    precise_result(sum, row);
}

SORGUM_ISA_END
