// log(sum / exp(max / T)) where it is small: the terms other than the maximum's are summed once more, in float64.
//
// When few elements carry the sum, the rounding errors of their float terms do not average out, and log(1 + z) passes
// them on: an error of d ULP of z costs the result up to 2 (1 - exp(-L)) d ULP for L = log(1 + z) in [1/2, 1), and up
// to 2 d below. Rows of the former kind are summed once more without rounding to float between the terms, which leaves
// d = 1.022, at most 1.3 ULP of the result; for the latter every term is formed in float64. For float64 elements there
// is nothing wider: their bound is larger instead (docs/numerics/special.md).
#pragma once

#include "kernels/special/extexp_sum.inl.h"
#include "kernels/special/softmax.h"

SORGUM_ISA_BEGIN

// 2^t on [-1/2, 1/2] to 1.9e-9, of minimal relative error: a 32nd of a float's ULP, and the sum rounds no further.
inline constexpr double kPreciseExp2[7] = {0x1.0000000261525p+0, 0x1.62e430c7e9bb4p-1, 0x1.ebfbdadcad653p-3,
                                           0x1.c6aed4b881c9fp-5, 0x1.3b2dbbc22c11bp-7, 0x1.5f456af53e352p-10,
                                           0x1.41d33354a4772p-13};

struct PreciseTerms {
    f64x16 max_x, c;

    SORGUM_INLINE PreciseTerms(const ExpScale<float>& s, f64x16 max64) : max_x(max64), c(splat<f64x16>(s.c1)) {}

    SORGUM_INLINE f64x16 at(const float* p) const { return of_wide(load_wide(p)); }
    SORGUM_INLINE f64x16 operator()(f32x16 e) const { return of_wide(widen(e)); }
    // exp((x - max) / T); 0 for the maximum itself, which is counted, and where the power of two is, as for -inf.
    SORGUM_INLINE f64x16 of_wide(f64x16 x) const {
        const f64x16 magic = splat<f64x16>(Format<double>::round_magic);
        const f64x16 u = max(splat<f64x16>(-Format<double>::exponent_bias), (x - max_x) * c);
        const f64x16 v = u + magic;
        const f64x16 w = horner<kPreciseExp2>(u - (v - magic)) *
                         power_of_two(v + splat<f64x16>(double(Format<double>::exponent_bias)));
        return zero_where(eq(x, max_x), w);
    }
};

// The terms of every other sum, as float64; 0 for the maximum.
template <bool shifted>
struct WidenedTerms {
    Terms<shifted, float> terms;

    SORGUM_INLINE f64x16 at(const float* p) const { return (*this)(load(p)); }
    SORGUM_INLINE f64x16 operator()(f32x16 e) const { return widen(zero_where(eq(e, terms.max), terms.value(e))); }
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
        if (whole)
            return terms.at(x + at);
        return terms(load_first(x + at, n - at, -from_bits(Format<float>::infinity)));
    });
}

template <class F>
SORGUM_INLINE void add_chunks(const float* x, index_t n, const F& terms, index_t exponent, ExactSum& sum) {
    for (index_t i = 0; i < n; i += kChunk)
        exact_sum_add(sum, fold_sum(precise_lanes(x + i, n - i < kChunk ? n - i : kChunk, terms)), exponent, 1);
}

template <class T>
SORGUM_NOINLINE void precise_sum(const T* x, index_t n, const ExpScale<T>& scale, const RowResult<T>& row,
                                 RowSum<T>& sum) {
    if constexpr (sizeof(T) == 4) {
        if (row.excess < special::kPreciseBelow)
            return add_chunks(x, n, PreciseTerms(scale, splat<f64x16>(static_cast<double>(row.max))), 0, sum.others);
        const Reference<T> ref = reference_of(scale, row.max);
        if (ref.shifted || scale.prescale != T(1))
            add_chunks(x, n, WidenedTerms<true>{{ref.map, scale, row.max}}, -kHeadroom<T>, sum.others);
        else
            add_chunks(x, n, WidenedTerms<false>{{ref.map, scale, row.max}}, -kHeadroom<T>, sum.others);
    }
}

template <class T>
SORGUM_HD void precise_result(const RowSum<T>& sum, RowResult<T>& row) {
    index_t e;
    const double mantissa = exact_sum_finish(sum.others, e);
    const double others = mantissa == 0.0 ? 0.0 : scale_by_power_f64(mantissa, e);
    const double unit = row.excess < special::kPreciseBelow ? 1.0 : row.max_mantissa;
    row.log_excess = log1p_positive(row_excess(row.count, others, unit));
}

template <class T>
SORGUM_NOINLINE void refine(RowResult<T>& row, const T* x, index_t n, const ExpScale<T>& scale) {
    if (!(row.excess < special::kSummedAgainBelow<T>) || row.count == 0 || row.has_nan || row.has_inf)
        return;
    RowSum<T> sum;
    row_sum_clear(sum);
    precise_sum(x, n, scale, row, sum);
    precise_result(sum, row);
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
