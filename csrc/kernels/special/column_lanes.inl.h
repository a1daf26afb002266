// 16 rows side by side: a lane holds a row, and every step, the folds included, works on 16 rows at once. The trees are
// those of contiguous rows: an absent element adds nothing to them.
#pragma once

#include "kernels/special/row_lanes.inl.h"

SORGUM_ISA_BEGIN

// sums[c] = the sum of term(0, c) .. term(n - 1, c) for c < vectors, lane by lane in the order that
// kernels/special/softmax.h states.
template <class T, index_t vectors, class F>
SORGUM_INLINE void column_sums(index_t n, F&& term, f64x16* sums) {
    using V = vec<T>;
    LaneSum<T> lanes[kLanes][vectors];
    for (index_t group = 0; group < n; group += kGroup * kLanes) {
        for (index_t l = group; l < group + kLanes && l < n; ++l) {
            const index_t present = (n - l + kLanes - 1) / kLanes;
            for (index_t c = 0; c < vectors; ++c) {
                LaneSum<T>& into = lanes[l - group][c];
                if (present == 1)
                    into.add(term(l, c));
                else if (present >= kGroup)
                    into.add(tree_sum<kGroup>([&](int v) SORGUM_LAMBDA { return term(l + v * kLanes, c); }));
                else
                    into.add(tree_sum<kGroup>(
                        [&](int v) SORGUM_LAMBDA { return v < present ? term(l + v * kLanes, c) : splat<V>(T(0)); }));
            }
        }
    }
    for (index_t c = 0; c < vectors; ++c) {
        f64x16 folded[kLanes];
        for (index_t l = 0; l < kLanes; ++l)
            folded[l] = lanes[l][c].lanes();
        for (index_t half = kLanes / 2; half > 0; half /= 2)
            for (index_t l = 0; l < half && l + half < n; ++l)
                folded[l] = folded[l] + folded[l + half];
        sums[c] = folded[0];
    }
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
struct ColumnResult<RowOp::logsumexp_grad, T> : ColumnResult<RowOp::softmax, T> {
    Product<T> product;
    SORGUM_INLINE vec<T> operator()(vec<T> term) const {
        return product(ColumnResult<RowOp::softmax, T>::operator()(term));
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

// The excess, with the others of peaked rows summed once more. Element j of 16 rows lies at e + j * pitch.
template <class T>
SORGUM_NOINLINE f64x16 refined_columns(const T* e, index_t pitch, index_t n, f64x16 excess, f64x16 count, f64x16 others,
                                       const ReferenceLanes<T>& ref, const ExpScale<T>& scale) {
    if constexpr (sizeof(T) == 4) {
        const auto again = lt(excess, splat<f64x16>(special::kSummedAgainBelow<T>));
        const auto peaked = lt(excess, splat<f64x16>(special::kPreciseBelow));
        f64x16 sum = others, unit = ref.max_mantissa;
        const auto sum_again = [&](auto&& terms) SORGUM_LAMBDA {
            f64x16 lanes;
            column_sums<double, 1>(
                n, [&](index_t j, index_t) SORGUM_LAMBDA { return terms(load(e + j * pitch)); }, &lanes);
            return lanes;
        };
        if (any(again)) {
            const vec<T> zero = splat<vec<T>>(T(0));
            const ExpMap<vec<T>> map = {zero, zero, ref.lowest, ref.magic};
            const WidenedTerms<false> terms{{map, scale, ref.max}};
            sum = select(again, sum_again(terms) * splat<f64x16>(power_of_two_f64(-kHeadroom<T>)), sum);
        }
        if (any(peaked)) {
            sum = select(peaked, sum_again(PreciseTerms(scale, ref.max64)), sum);
            unit = select(peaked, splat<f64x16>(1.0), unit);
        }
        if (any(again))
            return row_excess(count, sum, unit);
    }
    return excess;
}

// `vectors` times 16 rows: element j of the rows of vector c is e[16 (j vectors + c)] and the 15 that follow.
// Terms that are scaled take the elements' place.
template <RowOp op, index_t vectors, class T>
SORGUM_INLINE void sum_columns(T* e, index_t n, const vec<T>* maxima, const vec<T>* minima, const ExpScale<T>& scale,
                               ReferenceLanes<T>* refs, ColumnResult<op, T>* results) {
    using V = vec<T>;
    using D = f64x16;
    const V prescale = splat<V>(scale.prescale), c_hi = splat<V>(scale.c_hi), c_lo = splat<V>(scale.c_lo);
    const V zero = splat<V>(T(0));
    integer_t<V> counts[vectors];
    for (index_t c = 0; c < vectors; ++c) {
        refs[c] = make_reference_lanes<T>(maxima[c], scale);
        counts[c] = splat_integer<integer_t<V>>(0);
    }
    D sums[vectors];
    column_sums<T, vectors>(
        n,
        [&](index_t j, index_t c) SORGUM_LAMBDA {
            T* const at = e + (j * vectors + c) * kLanes;
            const V x = load(at);
            const ExpMap<V> map = {zero, zero, refs[c].lowest, refs[c].magic};
            const V w = extexp<false>(map, prescale, c_hi, c_lo, x);
            if constexpr (scales_terms(op))
                store(at, w);
            const auto hit = eq(x, refs[c].max);
            counts[c] = increment(counts[c], hit);
            return zero_where(hit, w);
        },
        sums);
    for (index_t c = 0; c < vectors; ++c) {
        ReferenceLanes<T>& ref = refs[c];
        mark_nan(sums[c], ref.odd);
        const D count = to_f64(integer_to_float<V>(counts[c]));
        const D others = sums[c] * splat<D>(power_of_two_f64(-kHeadroom<T>));
        if constexpr (scales_terms(op)) {
            const ExpMap<V> map = {zero, zero, ref.lowest, ref.magic};
            const V top = extexp<false>(map, prescale, c_hi, c_lo, ref.max);
            results[c].factor = make_scale<V>(row_sum(count, others, ref.max_mantissa), ref.max_mantissa, top);
            results[c].careful = any(lt(minima[c], ref.small));
        } else {
            D excess = row_excess(count, others, ref.max_mantissa);
            if constexpr (op == RowOp::log_softmax) {
                excess = refined_columns(e + c * kLanes, vectors * kLanes, n, excess, count, others, ref, scale);
                results[c] = {LogShift<T>(ref.max64, splat<D>(0.0) - log1p_positive(excess), scale)};
            } else {
                results[c] = {from_f64<V>(log_sum_exp(ref.max64, log1p_positive(excess), scale))};
            }
        }
    }
}

template <class T>
SORGUM_INLINE bool any_odd(const ReferenceLanes<T>& ref, index_t rows) {
    bool found = false;
    for (index_t i = 0; i < rows; ++i)
        found = found || ref.odd[i];
    return found;
}

SORGUM_ISA_END
