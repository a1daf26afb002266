// log(sum / exp(max / T)) of rows of float32 that are short or peaked: those other than the maximum are summed in
// float64.
//
// When few elements carry the sum, the rounding errors of float additions do not average out, and log(1 + z) passes
// them on: an error of d ULP of z costs the result up to 2 (1 - exp(-L)) d ULP for L = log(1 + z) in [1/2, 1), and up
// to 2 d below. Short rows, and longer ones in which L is small, are summed in float64 from terms that are rounded once
// and little else: that leaves d = 0.61. For float64 elements there is nothing wider: their bound is larger instead
// (docs/numerics/special.md).
#pragma once

#include "kernels/special/extexp_sum.inl.h"
#include "kernels/special/softmax.h"

SORGUM_ISA_BEGIN

// The sum of a chunk's terms, in lanes: in sequence, as no rounding of float64 matters here.
template <bool shifted>
SORGUM_NOINLINE f64x16 precise_lanes(const float* x, index_t n, const Terms<shifted, float>& of_chunk) {
    Terms<shifted, float> terms = of_chunk;  // in registers
    f64x16 sum = splat<f64x16>(0.0);
    index_t i = 0;
    for (; i + kLanes <= n; i += kLanes)
        sum = sum + terms.wide_summand(load(x + i));
    if (i < n)
        sum = sum + terms.wide_summand(load_first(x + i, n - i, -from_bits(Format<float>::infinity)));
    return sum;
}

template <bool shifted>
SORGUM_INLINE void add_chunks(const float* x, index_t n, const Terms<shifted, float>& terms, ExactSum& sum) {
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
            add_chunks(x, n, Terms<true, float>(ref.map, scale, row.max), sum.others);
        else
            add_chunks(x, n, Terms<false, float>(ref.map, scale, row.max), sum.others);
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
