// log(sum / exp(max / T)) where it is small: the sum of the other terms in float64.
//
// When few elements carry the sum, the rounding errors of their float terms do not average out, and log(1 + z) passes
// them on undiminished. Rows whose log_softmax needs it are summed once more, with every term formed in float64. For
// float64 there is nothing wider: its bound is larger instead (docs/numerics.md).
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

    // exp((x - max) / T); 0 for the maximum itself, which is counted, and where the power of two is, as for -inf.
    SORGUM_INLINE f64x16 operator()(f32x16 e) const {
        const f64x16 x = widen(e);
        const f64x16 magic = splat<f64x16>(Format<double>::round_magic);
        const f64x16 u = max(splat<f64x16>(-Format<double>::exponent_bias), (x - max_x) * c);
        const f64x16 v = u + magic;
        const f64x16 w = horner<kPreciseExp2>(u - (v - magic)) *
                         power_of_two(v + splat<f64x16>(double(Format<double>::exponent_bias)));
        return zero_where(eq(x, max_x), w);
    }
};

// The others of one chunk in lanes, in the order of every sum.
SORGUM_INLINE f64x16 precise_lanes(const float* x, index_t n, const PreciseTerms& terms) {
    const auto half_group = [&](index_t i) SORGUM_LAMBDA {
        return tree_sum<kGroup / 2>([&](int v) SORGUM_LAMBDA {
            const index_t at = i + v * kLanes;
            if (at + kLanes <= n)
                return terms(load(x + at));
            return at < n ? terms(load_first(x + at, n - at, -from_bits(Format<float>::infinity))) : splat<f64x16>(0.0);
        });
    };
    LaneSum<double> lanes;
    for (index_t i = 0; i < n; i += kGroup * kLanes) {
        f64x16 group = half_group(i);
        if (i + kGroup / 2 * kLanes < n)
            group = group + half_group(i + kGroup / 2 * kLanes);
        lanes.add(group);
    }
    return lanes.lanes();
}

template <class T>
SORGUM_INLINE void precise_sum(const T* x, index_t n, const ExpScale<T>& scale, T max_x, RowSum<T>& row) {
    if constexpr (sizeof(T) == 4) {
        const PreciseTerms terms(scale, splat<f64x16>(static_cast<double>(max_x)));
        for (index_t i = 0; i < n; i += kChunk)
            exact_sum_add(row.others, fold_sum(precise_lanes(x + i, n - i < kChunk ? n - i : kChunk, terms)), 0, 1);
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
