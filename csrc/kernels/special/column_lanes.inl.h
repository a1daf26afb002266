// 16 rows side by side: a lane holds a row, and every step, the folds included, works on 16 rows at once. The trees are
// those of contiguous rows: an absent element adds nothing to them.
#pragma once

#include "kernels/special/row_lanes.inl.h"

SORGUM_ISA_BEGIN

// The sum of term(0) .. term(n - 1), lane by lane in the order that kernels/special/softmax.h states.
template <class T, class F>
SORGUM_INLINE f64x16 column_sum(index_t n, F&& term) {
    using V = vec<T>;
    LaneSum<T> lanes[kLanes];
    for (index_t group = 0; group < n; group += kGroup * kLanes) {
        for (index_t l = group; l < group + kLanes && l < n; ++l) {
            const index_t present = (n - l + kLanes - 1) / kLanes;
            if (present == 1)
                lanes[l - group].add(term(l));
            else if (present >= kGroup)
                lanes[l - group].add(tree_sum<kGroup>([&](int v) SORGUM_LAMBDA { return term(l + v * kLanes); }));
            else
                lanes[l - group].add(tree_sum<kGroup>(
                    [&](int v) SORGUM_LAMBDA { return v < present ? term(l + v * kLanes) : splat<V>(T(0)); }));
        }
    }
    f64x16 sums[kLanes];
    for (index_t l = 0; l < kLanes; ++l)
        sums[l] = lanes[l].lanes();
    for (index_t half = kLanes / 2; half > 0; half /= 2)
        for (index_t l = 0; l < half && l + half < n; ++l)
            sums[l] = sums[l] + sums[l + half];
    return sums[0];
}

// What the last step needs of 16 rows.
template <RowOp op, class T>
struct ColumnResult;
template <class T>
struct ColumnResult<RowOp::softmax, T> {
    Scale<vec<T>> factor;
    bool careful;  // some result may be subnormal
    SORGUM_INLINE vec<T> operator()(vec<T> term) const {
        return careful ? scale_careful(term, factor) : scale_plain(term, factor);
    }
};
template <class T>
struct ColumnResult<RowOp::log_softmax, T> {
    LogShift<T> shift;
    SORGUM_INLINE vec<T> operator()(vec<T> x) const { return shift(x); }
};
template <class T>
struct ColumnResult<RowOp::logsumexp, T> {
    vec<T> value;
};

// 16 rows whose element j is e[16 j] to e[16 j + 15]. For softmax the terms take the elements' place.
template <RowOp op, class T>
struct ColumnLanes {
    using V = vec<T>;
    using D = f64x16;
    ReferenceLanes<T> ref;

    SORGUM_INLINE ColumnResult<op, T> sum(T* e, index_t n, V max_x, V min_x, const ExpScale<T>& scale) {
        const V prescale = splat<V>(scale.prescale), c_hi = splat<V>(scale.c_hi), c_lo = splat<V>(scale.c_lo);
        ref = make_reference_lanes<T>(max_x, scale);
        const ExpMap<V> map = {splat<V>(T(0)), splat<V>(T(0)), ref.lowest, ref.magic};
        auto counts = splat_integer<integer_t<V>>(0);
        const D raw = column_sum<T>(n, [&](index_t j) SORGUM_LAMBDA {
            const V x = load(e + j * kLanes);
            const V w = extexp<false>(map, prescale, c_hi, c_lo, x);
            if constexpr (op == RowOp::softmax)
                store(e + j * kLanes, w);
            const auto hit = eq(x, ref.max);
            counts = increment(counts, hit);
            return zero_where(hit, w);
        });
        mark_nan(raw, ref.odd);
        const D count = to_f64(integer_to_float<V>(counts));
        const D others = raw * splat<D>(power_of_two_f64(-kHeadroom<T>));
        if constexpr (op == RowOp::softmax) {
            const V top = extexp<false>(map, prescale, c_hi, c_lo, ref.max);
            return {make_scale<V>(row_sum(count, others, ref.max_mantissa), ref.max_mantissa, top),
                    any(lt(min_x, ref.small))};
        } else {
            const D excess = row_log_excess(count, others, ref.max_mantissa);
            if constexpr (op == RowOp::log_softmax)
                return {LogShift<T>(ref.max64, splat<D>(0.0) - refined(e, n, excess, count, others, scale), scale)};
            else
                return {from_f64<V>(log_sum_exp(ref.max64, excess, scale))};
        }
    }

    // log_excess, with the others of peaked rows summed once more.
    SORGUM_INLINE D refined(const T* e, index_t n, D excess, D count, D others, const ExpScale<T>& scale) const {
        if constexpr (sizeof(T) == 4) {
            const auto peaked = lt(excess, splat<D>(special::kPreciseBelow<T>));
            if (any(peaked)) {
                const PreciseTerms terms(scale, ref.max64);
                const D precise =
                    column_sum<double>(n, [&](index_t j) SORGUM_LAMBDA { return terms(load(e + j * kLanes)); });
                return row_log_excess(count, select(peaked, precise, others),
                                      select(peaked, splat<D>(1.0), ref.max_mantissa));
            }
        }
        return excess;
    }

    SORGUM_INLINE bool any_odd(index_t rows) const {
        bool found = false;
        for (index_t i = 0; i < rows; ++i)
            found = found || ref.odd[i];
        return found;
    }
};

SORGUM_ISA_END
