// 16 rows side by side: a lane holds a row, and every step, the folds included, works on 16 rows at once. The trees are
// those of contiguous rows: an absent element adds nothing to them.
#pragma once

#include <type_traits>

#include "kernels/special/row_lanes.inl.h"

SORGUM_ISA_BEGIN

// The most vectors of 16 rows that are taken together: four cache lines.
template <class T>
inline constexpr index_t kMostVectors = kBlockColumns<T> / kLanes;

// The first `count` lanes of 16 rows, folded by halves: an absent lane adds nothing.
SORGUM_INLINE f64x16 fold_lanes(f64x16* lanes, index_t count) {
    for (index_t half = kLanes / 2; half > 0; half /= 2)
        for (index_t l = 0; l < half && l + half < count; ++l)
            lanes[l] = lanes[l] + lanes[l + half];
    return lanes[0];
}

// Half a group: the sum of term(j), term(j + 16), ... of which `present` exist.
template <class V, class Column>
SORGUM_INLINE V half_tree(Column& term, index_t j, index_t present) {
    constexpr int count = kGroup / 2;
    if (present >= count)
        return tree_sum<count>([&](int v) SORGUM_LAMBDA { return term(j + v * kLanes); });
    const V first = term(j);
    if (present == 1)
        return first;
    const V second = term(j + kLanes);
    return present == 2 ? first + second : (first + second) + term(j + 2 * kLanes);
}

// sums[c] = the sum of the terms 0 .. n - 1 of columns[c] for c < vectors <= most, lane by lane in the order that
// kernels/special/softmax.h states. `wide`: of terms for a sum in float64, which are added in sequence.
template <index_t most, bool wide, class T, class Column>
SORGUM_INLINE void column_sums(index_t n, index_t vectors, Column* columns, f64x16* sums) {
    using V = vec<T>;
    LaneSum<T> lanes[kLanes][most];
    for (index_t group = 0; group < n; group += kGroup * kLanes) {
        for (index_t l = group; l < group + kLanes && l < n; ++l) {
            const index_t present = (n - l + kLanes - 1) / kLanes;
            for (index_t c = 0; c < vectors; ++c) {
                LaneSum<T>& into = lanes[l - group][c];
                Column term = columns[c];  // in registers
                if constexpr (wide) {
                    for (index_t v = 0; v < present && v < kGroup; ++v)
                        into.sum = into.sum + term(l + v * kLanes);
                } else if (present == 1) {
                    into.add(term(l));
                } else {
                    V sum = splat<V>(T(0));
#pragma GCC unroll 1
                    for (index_t v = 0; v < present && v < kGroup; v += kGroup / 2)
                        sum = sum + half_tree<V>(term, l + v * kLanes, present - v);
                    into.add(sum);
                }
                columns[c].keep(term);
            }
        }
    }
    for (index_t c = 0; c < vectors; ++c) {
        f64x16 folded[kLanes];
        for (index_t l = 0; l < kLanes; ++l)
            folded[l] = lanes[l][c].lanes();
        sums[c] = fold_lanes(folded, n);
    }
}

// Rows that are half a group at most: the sum of a lane is one tree of at most four terms.
inline constexpr index_t kHalfGroup = kGroup / 2 * kLanes;

// The trees of `count` lanes from l on that have `present` terms each; terms in float64 are added in sequence.
template <int present, bool wide, class T, class Column>
SORGUM_INLINE void lane_trees(Column& column, index_t l, index_t count, T* sums) {
    Column term = column;  // in registers
    for (const index_t end = l + count; l < end; ++l) {
        auto s = term(l);
        if constexpr (present > 1)
            s = s + term(l + kLanes);
        if constexpr (present == 3 || (present == 4 && wide))
            s = s + term(l + 2 * kLanes);
        if constexpr (present == 4 && wide)
            s = s + term(l + 3 * kLanes);
        else if constexpr (present == 4)
            s = s + (term(l + 2 * kLanes) + term(l + 3 * kLanes));
        store(sums + l * kLanes, s);
    }
    column.keep(term);
}

// The same sum of at most kHalfGroup terms.
template <bool wide, class T, class Column>
SORGUM_NOINLINE f64x16 short_sum(index_t n, Column& column) {
    alignas(64) std::conditional_t<wide, double, T> sums[kLanes * kLanes];
    const index_t terms = n / kLanes, longer = n % kLanes, others = terms == 0 ? 0 : kLanes - longer;
    // Lanes with a term more, then the others.
    if (terms == 0)
        lane_trees<1, wide>(column, 0, longer, sums);
    else if (terms == 1)
        lane_trees<2, wide>(column, 0, longer, sums);
    else if (terms == 2)
        lane_trees<3, wide>(column, 0, longer, sums);
    else if (terms == 3)
        lane_trees<4, wide>(column, 0, longer, sums);
    if (terms == 1)
        lane_trees<1, wide>(column, longer, others, sums);
    else if (terms == 2)
        lane_trees<2, wide>(column, longer, others, sums);
    else if (terms == 3)
        lane_trees<3, wide>(column, longer, others, sums);
    else if (terms == 4)
        lane_trees<4, wide>(column, longer, others, sums);
    f64x16 lanes[kLanes / 2];
    index_t l = 0;
    for (; l < kLanes / 2 && l + kLanes / 2 < n; ++l)
        lanes[l] = load_f64(sums + l * kLanes) + load_f64(sums + (l + kLanes / 2) * kLanes);
    for (; l < kLanes / 2 && l < n; ++l)
        lanes[l] = load_f64(sums + l * kLanes);
    return fold_lanes(lanes, n < kLanes / 2 ? n : kLanes / 2);
}

// What the last step needs of 16 rows.
template <RowOp op, class T>
struct ColumnResult;
template <class T>
struct ColumnResult<RowOp::softmax, T> {
    Scale<vec<T>> factor;
    bool subnormal;  // some result may be subnormal
    SORGUM_INLINE vec<T> operator()(vec<T> term) const {
        return subnormal ? scale_subnormal(term, factor) : scale_normal(term, factor);
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

// The terms of 16 rows for the sum: element j lies at e + j pitch. Terms that the last step scales overwrite the
// elements. `wide`: they are for a sum in float64.
template <bool scales, bool wide, class T>
struct ColumnTerms {
    Terms<false, T> terms;
    T* e;
    index_t pitch;
    SORGUM_INLINE auto operator()(index_t j) {
        T* const at = e + j * pitch;
        const vec<T> x = load(at);
        if constexpr (wide) {
            return terms.wide_summand(x);
        } else {
            const vec<T> w = terms.value(x);
            if constexpr (scales)
                store(at, w);
            return terms.summand(x, w);
        }
    }
    SORGUM_INLINE void keep(const ColumnTerms& done) { terms.count = done.terms.count; }
};

// The excess; in peaked rows from a second sum in float64. Element j of 16 rows lies at e + j * pitch.
template <class T>
SORGUM_NOINLINE f64x16 refined_columns(T* e, index_t pitch, index_t n, f64x16 excess, f64x16 count, f64x16 others,
                                       const ReferenceLanes<T>& ref, const Terms<false, T>& terms) {
    if constexpr (sizeof(T) == 4) {
        const auto peaked = lt(excess, splat<f64x16>(special::kPreciseBelow<T>));
        if (any(peaked)) {
            f64x16 lanes;
            ColumnTerms<false, true, T> column = {terms, e, pitch};
            column_sums<1, true, T>(n, 1, &column, &lanes);
            const f64x16 again = lanes * splat<f64x16>(power_of_two_f64(-kHeadroom<T>));
            return row_excess(count, select(peaked, again, others), ref.max_mantissa);
        }
    }
    return excess;
}

// 16 rows on the way: element j of them is e[j pitch] and the 15 that follow.
// `wide`: their terms are added in float64.
template <RowOp op, bool wide, class T>
struct SixteenRows {
    using V = vec<T>;
    using D = f64x16;
    ReferenceLanes<T> ref;
    ColumnTerms<scales_terms(op), wide, T> column;
    V least;
    ColumnResult<op, T> result;

    SORGUM_INLINE void begin(T* e, index_t pitch, V largest, V smallest, const LaneScale<T>& scale) {
        make_reference_lanes<T>(largest, scale, ref);
        const V zero = splat<V>(T(0));
        const ExpMap<V> map = {zero, zero, ref.lowest, ref.magic};
        column = {Terms<false, T>(map, scale, ref.max), e, pitch};
        least = smallest;
    }
    // From the sum of the terms.
    SORGUM_INLINE void finish(index_t n, D sum, const LaneScale<T>& scale) {
        mark_irregular(eq(sum, sum), ref.irregular, ref.some_irregular);
        const D count = to_f64(integer_to_float<V>(column.terms.count));
        const D others = sum * splat<D>(power_of_two_f64(-kHeadroom<T>));
        if constexpr (scales_terms(op)) {
            const V top = column.terms.value(ref.max);
            result.factor = make_scale<V>(row_sum(count, others, ref.max_mantissa), ref.max_mantissa, top);
            result.subnormal = any(lt(least, ref.small));
        } else {
            D excess = row_excess(count, others, ref.max_mantissa);
            if constexpr (op == RowOp::log_softmax) {
                if constexpr (!wide)
                    excess = refined_columns(column.e, column.pitch, n, excess, count, others, ref, column.terms);
                result = {LogShift<T>(ref.max64, splat<D>(0.0) - log1p_positive(excess), scale)};
            } else {
                result = {from_f64<V>(log_sum_exp(ref.max64, log1p_positive(excess), scale))};
            }
        }
    }
};

SORGUM_ISA_END
