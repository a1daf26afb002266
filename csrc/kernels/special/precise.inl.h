// log(sum / exp(max / T)) where it is small: the sum of the other terms in float64.
//
// When few elements carry the sum, the rounding errors of their float terms do not average out, and log(1 + z) passes
// them on undiminished. Rows whose log_softmax needs it are summed once more, with every term formed in float64. For
// float64 there is nothing wider: its bound is larger instead (docs/numerics.md).
#pragma once

#include "kernels/special/extexp_sum.inl.h"
#include "kernels/special/softmax.h"

SORGUM_ISA_BEGIN

struct PreciseTerms {
    f64x16 max_x, lowest, c1, c2;

    SORGUM_INLINE PreciseTerms(const ExpScale<float>& s, f64x16 max64)
        : max_x(max64), lowest(splat<f64x16>(-1000.0 / s.c1)), c1(splat<f64x16>(s.c1)), c2(splat<f64x16>(s.c2)) {}

    // exp((x - max) / T); 0 for the maximum itself, which is counted, and for -inf.
    SORGUM_INLINE f64x16 operator()(f32x16 e) const {
        const f64x16 x = widen(e);
        const f64x16 d = max(lowest, x - max_x);
        const f64x16 magic = splat<f64x16>(Format<double>::round_magic);
        const f64x16 v = fma(d, c1, magic);
        f64x16 t = fma(d, c1, magic - v);
        t = fma(d, c2, t);
        const f64x16 w = exp2_poly(t) * power_of_two(v + splat<f64x16>(double(Format<double>::exponent_bias)));
        return zero_where(either(eq(x, max_x), lt(x, splat<f64x16>(-Format<double>::largest))), w);
    }
};

// The others of one chunk, in the order of every sum.
SORGUM_INLINE double precise_chunk(const float* x, index_t n, const PreciseTerms& terms) {
    LaneSum<double> lanes;
    index_t i = 0;
    for (; i + kGroup * kLanes <= n; i += kGroup * kLanes)
        lanes.add(tree_sum<kGroup>([&](int v) SORGUM_LAMBDA { return terms(load(x + i + v * kLanes)); }));
    if (i < n) {
        f64x16 w[kGroup];
        for (int v = 0; v < kGroup; ++v)
            w[v] = splat<f64x16>(0.0);
        for (int v = 0; i < n; ++v, i += kLanes)
            w[v] = terms(load_first(x + i, n - i, -from_bits(Format<float>::infinity)));
        lanes.add(tree_sum<kGroup>([&](int v) SORGUM_LAMBDA { return w[v]; }));
    }
    return fold_sum(lanes.lanes());
}

template <class T>
SORGUM_INLINE void precise_sum(const T* x, index_t n, const ExpScale<T>& scale, T max_x, RowSum<T>& row) {
    if constexpr (sizeof(T) == 4) {
        const PreciseTerms terms(scale, splat<f64x16>(static_cast<double>(max_x)));
        for (index_t i = 0; i < n; i += kChunk)
            exact_sum_add(row.others, precise_chunk(x + i, n - i < kChunk ? n - i : kChunk, terms), 0, 1);
    }
}

SORGUM_HD double precise_excess(double count, const ExactSum& others) {
    index_t e;
    const double mantissa = exact_sum_finish(others, e);
    return log1p_positive((count - 1.0) + (mantissa == 0.0 ? 0.0 : scale_by_power_f64(mantissa, e)));
}

template <class T>
SORGUM_NOINLINE void refine(RowResult<T>& row, const T* x, index_t n, const ExpScale<T>& scale) {
    if (!(row.log_excess < special::kPreciseBelow<T>) || row.count == 0 || row.has_nan || row.has_inf)
        return;
    RowSum<T> sum;
    row_sum_clear(sum);
    precise_sum(x, n, scale, row.max, sum);
    row.log_excess = precise_excess(row.count, sum.others);
}

template <class T>
void precise_sum_kernel(const T* x, index_t n, const ExpScale<T>& scale, T max_x, RowSum<T>& row) {
    precise_sum(x, n, scale, max_x, row);
}

template <class T>
void precise_result_kernel(const RowSum<T>& sum, RowResult<T>& row) {
    row.log_excess = precise_excess(row.count, sum.others);
}

SORGUM_ISA_END
