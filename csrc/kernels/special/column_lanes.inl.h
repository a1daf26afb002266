// 16 rows side by side: a lane holds a row, and every step, the folds included, works on 16 rows at once. The trees are
// those of contiguous rows: an absent element adds nothing to them.
#pragma once

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
// kernels/special/softmax.h states.
template <index_t most, class T, class Column>
SORGUM_INLINE void column_sums(index_t n, index_t vectors, Column* columns, f64x16* sums) {
    using V = vec<T>;
    LaneSum<T> lanes[kLanes][most];
    for (index_t group = 0; group < n; group += kGroup * kLanes) {
        for (index_t l = group; l < group + kLanes && l < n; ++l) {
            const index_t present = (n - l + kLanes - 1) / kLanes;
            for (index_t c = 0; c < vectors; ++c) {
                LaneSum<T>& into = lanes[l - group][c];
                Column term = columns[c];  // in registers
                if (present == 1) {
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

// The same of at most 16 terms: each is its lane's sum.
template <class Column>
SORGUM_INLINE f64x16 narrow_sum(index_t n, Column& column) {
    Column term = column;
    f64x16 lanes[kLanes];
    for (index_t l = 0; l < n; ++l)
        lanes[l] = to_f64(term(l));
    column.keep(term);
    return fold_lanes(lanes, n);
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
// elements.
template <bool scales, class T>
struct ColumnTerms {
    Terms<false, T> terms;
    T* e;
    index_t pitch;
    SORGUM_INLINE vec<T> operator()(index_t j) {
        T* const at = e + j * pitch;
        const vec<T> x = load(at), w = terms.value(x);
        if constexpr (scales)
            store(at, w);
        return terms.summand(x, w);
    }
    SORGUM_INLINE void keep(const ColumnTerms& done) { terms.count = done.terms.count; }
};

// The same terms, to be summed again in float64.
template <class F>
struct ColumnAgain {
    F terms;
    const float* e;
    index_t pitch;
    SORGUM_INLINE f64x16 operator()(index_t j) const { return terms(load(e + j * pitch)); }
    SORGUM_INLINE void keep(const ColumnAgain&) const {}
};

// The excess; in rows where it is small, from a second sum in float64. Element j of 16 rows lies at e + j * pitch.
template <class T>
SORGUM_NOINLINE f64x16 refined_columns(const T* e, index_t pitch, index_t n, f64x16 excess, f64x16 count, f64x16 others,
                                       const ReferenceLanes<T>& ref, const ExpScale<T>& scale) {
    if constexpr (sizeof(T) == 4) {
        const auto again = lt(excess, splat<f64x16>(special::kSummedAgainBelow<T>));
        const auto peaked = lt(excess, splat<f64x16>(special::kPreciseBelow));
        f64x16 sum = others, unit = ref.max_mantissa;
        const auto sum_again = [&](auto terms) SORGUM_LAMBDA {
            f64x16 lanes;
            ColumnAgain<decltype(terms)> column{terms, e, pitch};
            if (n <= kLanes)
                return narrow_sum(n, column);
            column_sums<1, double>(n, 1, &column, &lanes);
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

// `vectors` times 16 rows, of at most 16 elements where `most` is 1: element j of the rows of vector c is e[16 (j
// vectors + c)] and the 15 that follow.
template <index_t most, RowOp op, class T>
SORGUM_INLINE void sum_columns(T* e, index_t n, index_t vectors, const vec<T>* maxima, const vec<T>* minima,
                               const ExpScale<T>& scale, ReferenceLanes<T>* refs, ColumnResult<op, T>* results) {
    using V = vec<T>;
    using D = f64x16;
    const V zero = splat<V>(T(0));
    ColumnTerms<scales_terms(op), T> columns[most];
    for (index_t c = 0; c < vectors; ++c) {
        make_reference_lanes<T>(maxima[c], scale, refs[c]);
        const ExpMap<V> map = {zero, zero, refs[c].lowest, refs[c].magic};
        columns[c] = {Terms<false, T>(map, scale, refs[c].max), e + c * kLanes, vectors * kLanes};
    }
    D sums[most];
    if constexpr (most > 1)
        if (n > kLanes)
            column_sums<most, T>(n, vectors, columns, sums);
    for (index_t c = 0; c < vectors && (most == 1 || n <= kLanes); ++c)
        sums[c] = narrow_sum(n, columns[c]);
    for (index_t c = 0; c < vectors; ++c) {
        ReferenceLanes<T>& ref = refs[c];
        mark_nan(sums[c], ref.irregular);
        const D count = to_f64(integer_to_float<V>(columns[c].terms.count));
        const D others = sums[c] * splat<D>(power_of_two_f64(-kHeadroom<T>));
        if constexpr (scales_terms(op)) {
            const V top = columns[c].terms.value(ref.max);
            results[c].factor = make_scale<V>(row_sum(count, others, ref.max_mantissa), ref.max_mantissa, top);
            results[c].subnormal = any(lt(minima[c], ref.small));
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
SORGUM_INLINE bool any_irregular(const ReferenceLanes<T>& ref, index_t rows) {
    bool found = false;
    for (index_t i = 0; i < rows; ++i)
        found = found || ref.irregular[i];
    return found;
}

SORGUM_ISA_END
