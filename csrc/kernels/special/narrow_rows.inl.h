// Rows of at most one vector: 16 rows are transposed in registers, so that a lane holds a row and every step, the folds
// included, works on 16 rows at once. The trees are those of the batches: an absent lane adds nothing to them.
#pragma once

#include "kernels/special/row_lanes.inl.h"

SORGUM_ISA_BEGIN

// v[0] becomes the fold by halves of v[0 .. n - 1], the absent ones up to 16 being neutral.
template <class V, class F>
SORGUM_INLINE void fold_columns(V* v, index_t n, F&& f) {
    for (index_t half = 8; half > 0; half /= 2)
        for (index_t j = 0; j < half && j + half < n; ++j)
            v[j] = f(v[j], v[j + half]);
}

template <RowOp op, class T>
SORGUM_INLINE void narrow_rows(const Rows<T>& r, const ExpScale<T>& scale) {
    using V = vec<T>;
    using D = f64x16;
    const T least = -from_bits(Format<T>::infinity);
    const V prescale = splat<V>(scale.prescale), c_hi = splat<V>(scale.c_hi), c_lo = splat<V>(scale.c_lo);
    const index_t n = r.n;
    // Contiguous results are packed here and leave as whole cache lines.
    alignas(64) T packed[16 * kLanes];
    const bool streaming = r.streaming && r.y_stride == n && elements_to_boundary(r.y) == 0;
    for (index_t first = 0; first < r.rows; first += 16) {
        const index_t rows = r.rows - first < 16 ? r.rows - first : 16;
        V e[16], fold[16];
        for (index_t i = 0; i < 16; ++i) {
            const T* x = r.x + (first + i) * r.x_stride;
            prefetch_ahead(x);
            e[i] = i < rows ? load_first(x, n, least) : splat<V>(least);
        }
        transpose(e);
        V lowest = splat<V>(-least);
        for (index_t j = 0; j < n; ++j) {
            fold[j] = max(e[j], splat<V>(least));
            lowest = min(e[j], lowest);
        }
        fold_columns(fold, n, [](V a, V b) SORGUM_LAMBDA { return max(a, b); });
        ReferenceLanes<T> ref = make_reference_lanes<T>(fold[0], scale);
        const ExpMap<V> map = {splat<V>(T(0)), splat<V>(T(0)), ref.lowest, ref.magic};
        auto counts = splat_integer<integer_t<V>>(0);
        V w[16];
        D sums[16];
        for (index_t j = 0; j < n; ++j) {
            w[j] = extexp<false>(map, prescale, c_hi, c_lo, e[j]);
            const auto hit = eq(e[j], ref.max);
            counts = increment(counts, hit);
            sums[j] = to_f64(zero_where(hit, w[j]));
        }
        fold_columns(sums, n, [](D a, D b) SORGUM_LAMBDA { return a + b; });
        mark_nan(sums[0], ref.odd);
        const D count = to_f64(integer_to_float<V>(counts));
        const D others = sums[0] * splat<D>(power_of_two_f64(-kHeadroom<T>));
        if constexpr (op == RowOp::logsumexp) {
            T result[16];
            store(result, from_f64<V>(log_sum_exp(ref.max64, row_log_excess(count, others, ref.max_mantissa), scale)));
            for (index_t i = 0; i < rows; ++i) {
                if (ref.odd[i])
                    whole_row<op>(r, first + i, scale);
                else
                    r.y[(first + i) * r.y_stride] = result[i];
            }
            continue;
        }
        if constexpr (op == RowOp::softmax) {
            const Scale<V> s = make_scale<V>(row_sum(count, others, ref.max_mantissa), ref.max_mantissa,
                                             extexp<false>(map, prescale, c_hi, c_lo, ref.max));
            const bool careful = any(lt(lowest, ref.small));
            for (index_t j = 0; j < n; ++j)
                w[j] = careful ? scale_careful(w[j], s) : scale_plain(w[j], s);
        } else {
            LogShift<T> shift(0.0, 0.0, scale);
            shift.max_x = ref.max64;
            D excess = row_log_excess(count, others, ref.max_mantissa);
            if constexpr (sizeof(T) == 4) {
                const auto peaked = lt(excess, splat<D>(special::kPreciseBelow<T>));
                if (any(peaked)) {
                    const PreciseTerms terms(scale, ref.max64);
                    for (index_t j = 0; j < n; ++j)
                        sums[j] = terms(e[j]);
                    fold_columns(sums, n, [](D a, D b) SORGUM_LAMBDA { return a + b; });
                    excess = row_log_excess(count, select(peaked, sums[0], others),
                                            select(peaked, splat<D>(1.0), ref.max_mantissa));
                }
            }
            shift.minus_log = splat<D>(0.0) - excess;
            for (index_t j = 0; j < n; ++j)
                w[j] = shift(e[j]);
        }
        for (index_t j = n; j < 16; ++j)
            w[j] = splat<V>(T(0));
        transpose(w);
        bool any_odd = false;
        for (index_t i = 0; i < rows; ++i)
            any_odd = any_odd || ref.odd[i];
        if (streaming && rows == 16 && !any_odd) {
            for (index_t i = 0; i < 16; ++i)
                store_first(packed + i * n, w[i], n);
            for (index_t i = 0; i < 16 * n; i += kLanes)
                stream(r.y + first * n + i, load(packed + i));
            continue;
        }
        for (index_t i = 0; i < rows; ++i) {
            if (ref.odd[i])
                whole_row<op>(r, first + i, scale);
            else
                store_first(r.y + (first + i) * r.y_stride, w[i], n);
        }
    }
    if (r.streaming)
        stream_fence();
}

SORGUM_ISA_END
