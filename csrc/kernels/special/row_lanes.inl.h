// What rows of one chunk have in common: their references and results, a lane per row, and what is done with rows that
// lanes cannot express.
#pragma once

#include "kernels/special/precise.inl.h"
#include "kernels/special/softmax.inl.h"
#include "math/operation_state.h"

SORGUM_ISA_BEGIN

using RowOp = special::Op;  // softmax, log_softmax, logsumexp or logsumexp_grad

// Whether the last step scales the terms that were formed for the sum.
constexpr bool scales_terms(RowOp op) { return special::traits(op).scales_terms; }

// Whether terms are added in float64 (precise.inl.h): those of short rows, and, in a second sum, those of longer ones
// that are peaked.
template <RowOp op, class T>
inline constexpr bool kIsPrecise = op == RowOp::log_softmax && sizeof(T) == 4;

// One row by the kernels for long rows, which take any.
template <RowOp op, class T>
SORGUM_NOINLINE void single_row(const Rows<T>& r, index_t i, const ExpScale<T>& scale_of_all) {
    const ExpScale<T> scale = r.temperatures == nullptr ? scale_of_all : make_exp_scale<T>(r.temperatures[i]);
    const T* x = r.x + i * r.x_stride;
    T* y = r.y + i * r.y_stride;
    RowSum<T> sum;
    row_sum_clear(sum);
    exp_sum_kernel(x, r.n, scale, sum);
    RowResult<T> row = result_of(sum, scale, false);
    if constexpr (op == RowOp::log_softmax)
        refine(row, x, r.n, scale);
    if constexpr (op == RowOp::softmax)
        softmax_scale_kernel(x, y, r.n, scale, row, r.empty, false);
    else if constexpr (op == RowOp::logsumexp_grad)
        logsumexp_grad_scale_kernel(x, y, r.n, scale, row, r.factors[i], false);
    else if constexpr (op == RowOp::log_softmax)
        log_softmax_shift_kernel(x, y, r.n, scale, row, r.empty, false);
    else
        *y = static_cast<T>(row.log_sum_exp);
}

// make_reference in lanes. A row is irregular, and left to single_row, when it needs a shift (math/extexp.h), a
// prescaled factor, or has no finite maximum.
template <class T>
struct ReferenceLanes {
    vec<T> max, lowest, magic;
    f64x16 max64, max_mantissa;
    vec<T> small;  // below it, a result may be subnormal
    bool irregular[16];
    bool some_irregular;
};

// Marks the rows whose lanes are not set.
template <class Mask>
SORGUM_INLINE void mark_irregular(Mask regular, bool* irregular, bool& some) {
    if (__builtin_expect(all(regular), 1))
        return;
    double lanes[16];
    store(lanes, select(regular, splat<f64x16>(1.0), splat<f64x16>(0.0)));
    some = true;
    for (int i = 0; i < 16; ++i)
        irregular[i] = irregular[i] || lanes[i] == 0.0;
}

template <class T>
SORGUM_INLINE void reference_lanes(vec<T> m, const LaneScale<T>& scale, ReferenceLanes<T>& r) {
    using V = vec<T>;
    using D = f64x16;
    const D zero = splat<D>(0.0), lowest = splat<D>(Format<T>::exponent_bias + kHeadroom<T>);
    const D m64 = to_f64(m);
    const D cm = scale.c1 * m64;
    const auto regular = both(lt(splat<D>(-kUnshiftedLimit), cm), lt(cm, splat<D>(kUnshiftedLimit)));
    const D n = round_to_integer(select(regular, cm, zero));
    const D e1 = fma(scale.c1, m64, zero - cm), p2 = scale.c2 * m64;
    const D rest = e1 + p2;
    const D lost = (e1 - rest) + p2;
    const D t = ((cm - n) + rest) + ((lost + fma(scale.c2, m64, zero - p2)) + scale.c3 * m64);
    r.max = m;
    r.max64 = m64 + zero;
    r.max_mantissa = exp2_poly(select(regular, t, zero));
    r.lowest = from_f64<V>((n - lowest) * scale.inv_c);
    r.magic = from_f64<V>(splat<D>(static_cast<double>(kStepMagic<T>)) + (lowest - n));
    r.small = from_f64<V>((n + splat<D>(kSmallExponent<T>)) * scale.inv_c);
    r.some_irregular = false;
    for (bool& lane : r.irregular)
        lane = false;
    mark_irregular(both(regular, scale.plain), r.irregular, r.some_irregular);
}

// The same as a call, for columns.
template <class T>
SORGUM_NOINLINE void make_reference_lanes(vec<T> m, const LaneScale<T>& scale, ReferenceLanes<T>& r) {
    reference_lanes<T>(m, scale, r);
}

// log_sum_exp (math/extexp.h) of regular rows.
template <class T>
SORGUM_INLINE f64x16 log_sum_exp(f64x16 max_x, f64x16 log_excess, const LaneScale<T>& s) {
    return fma(max_x, s.inv_temperature, fma(max_x, s.inv_temperature_low, log_excess));
}

SORGUM_ISA_END
