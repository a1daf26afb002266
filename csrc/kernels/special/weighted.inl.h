// logsumexp with weights. Products are formed and added in float64, with compensation: weights may cancel.
#pragma once

#include "kernels/special/softmax.inl.h"

SORGUM_ISA_BEGIN

inline constexpr int kWeightHeadroom = 110;  // keeps the product of a term and a float64 weight from overflowing

template <bool shifted, class T>
SORGUM_INLINE double weighted_chunk(const T* x, const T* b, index_t n, const Reference<T>& ref,
                                    const ExpScale<T>& scale, T max_x) {
    const Terms<shifted, T> terms(ref.map, scale, max_x);
    const f64x16 down = splat<f64x16>(power_of_two_f64(-kWeightHeadroom));
    LaneSum<double> lanes;
    for (index_t i = 0; i < n; i += kLanes) {
        const vec<T> w = terms.value(load_first(x + i, n - i, -from_bits(Format<T>::infinity)));
        lanes.add((to_f64(w) * down) * to_f64(load_first(b + i, n - i, T(0))));
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
void weighted_sum_kernel(const T* x, const T* b, index_t n, const ExpScale<T>& scale, RowSum<T>& row) {
    const T inf = from_bits(Format<T>::infinity);
    for (index_t i = 0; i < n; i += kChunk) {
        const index_t here = n - i < kChunk ? n - i : kChunk;
        const T max_x = max_of(x + i, here) + T(0);
        const Reference<T> ref = make_reference(scale, max_x);
        const double sum = max_x == inf ? __builtin_nan("")
                           : ref.shifted || scale.prescale != T(1)
                               ? weighted_chunk<true>(x + i, b + i, here, ref, scale, max_x)
                               : weighted_chunk<false>(x + i, b + i, here, ref, scale, max_x);
        if (!(sum >= -Format<double>::largest && sum <= Format<double>::largest))
            find_infinite_terms(x + i, b + i, here, row);
        if (row.has_nan || row.has_inf || row.has_minus_inf || max_x == -inf)
            continue;
        const bool row_was_far = is_far(scale, row.max);
        if (max_x > row.max) {
            row.max = max_x;
            if (ref.far || row_was_far)
                exact_sum_clear(row.others);
        } else if (max_x < row.max && (row_was_far || ref.far)) {
            continue;  // negligible beside what is there
        }
        exact_sum_add(row.others, sum, ref.exponent - kHeadroom<T> + kWeightHeadroom, 1);
    }
}

template <class T>
void weighted_result_kernel(const RowSum<T>& row, const ExpScale<T>& scale, double& log_abs, double& sign) {
    weighted_result(row, scale, log_abs, sign);
}

SORGUM_ISA_END
