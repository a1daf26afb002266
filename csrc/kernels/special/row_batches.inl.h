// Rows of at most one chunk that are too long for transposed_rows.inl.h and row_blocks.inl.h.
//
// Rows are taken in batches of at most 16 and about kBatch elements. One loop sweeps the maxima of the next batch,
// forms the terms of this one (kept in an L1 scratch) and writes the results of the one before: memory is read and
// written evenly, and the folds at the end of a row are done for the whole batch at once, by the same trees.
#pragma once

#include <type_traits>

#include "kernels/special/row_lanes.inl.h"
#include "kernels/special/row_step.inl.h"
#include "kernels/special/writing.inl.h"

SORGUM_ISA_BEGIN

template <class T>
inline constexpr index_t kBatch = 16384 / static_cast<index_t>(sizeof(T));

// What is known of a batch, one entry per row.
template <class T>
struct Batch {
    index_t first, rows;
    bool subnormal;      // some result may be subnormal, or some element be below the map's least
    bool irregular[16];  // to be done by single_row
    T max[16], lowest[16], magic[16];
    double max_mantissa[16];
    T top[16], top_result[16], factor[16], low[16], fixed[16], tiny[16];  // softmax's last step
    double max64[16], minus_log[16];                                      // log_softmax's last step
    // The temperatures.
    T c_hi[16], c_lo[16];
    double inverse[16], inverse_low[16], farthest[16];
};

template <class T>
SORGUM_INLINE void set_scale(Batch<T>& b, const LaneScale<T>& s) {
    store(b.c_hi, s.c_hi);
    store(b.c_lo, s.c_lo);
    store(b.inverse, s.inv_temperature);
    store(b.inverse_low, s.inv_temperature_low);
    store(b.farthest, s.farthest);
}

template <class T>
SORGUM_INLINE LogShift<T> shift_of(const Batch<T>& b, index_t i) {
    LogShift<T> shift;
    shift.max_x = splat<f64x16>(b.max64[i]);
    shift.minus_log = splat<f64x16>(b.minus_log[i]);
    shift.inverse = splat<f64x16>(b.inverse[i]);
    shift.inverse_low = splat<f64x16>(b.inverse_low[i]);
    shift.lowest = splat<f64x16>(-b.farthest[i]);
    return shift;
}

template <class T>
SORGUM_INLINE Scale<vec<T>> scale_of(const Batch<T>& b, index_t i) {
    using V = vec<T>;
    return {splat<V>(b.factor[i]), splat<V>(b.low[i]), splat<V>(b.fixed[i]),
            splat<V>(b.tiny[i]),   splat<V>(b.top[i]), splat<V>(b.top_result[i])};
}

// Inlined, with the references: rows of 1000 elements of float64 come in batches of two, and calls took 3 percent of
// their time.
template <RowOp op, class T>
SORGUM_INLINE void map_batch(Batch<T>& b, const vec<T>* maxima, const vec<T>* minus_minima, const LaneScale<T>& scale) {
    ReferenceLanes<T> r;
    reference_lanes<T>(fold_max_rows(maxima), scale, r);
    store(b.max, r.max);
    store(b.max64, r.max64);
    store(b.max_mantissa, r.max_mantissa);
    store(b.lowest, r.lowest);
    store(b.magic, r.magic);
    const ExpMap<vec<T>> map = {splat<vec<T>>(T(0)), splat<vec<T>>(T(0)), r.lowest, r.magic};
    store(b.top, extexp<false>(map, splat<vec<T>>(T(1)), scale.c_hi, scale.c_lo, r.max));
    for (int i = 0; i < 16; ++i)
        b.irregular[i] = r.irregular[i];
    if constexpr (scales_terms(op))
        b.subnormal = any(lt(splat<vec<T>>(T(0)) - fold_max_rows(minus_minima), r.small));
}

// The excess; in rows where it is small, from a second sum in float64.
template <class T>
SORGUM_INLINE f64x16 refined(const Batch<T>& b, f64x16 excess, f64x16 count, f64x16 others, const Rows<T>& r) {
    if constexpr (sizeof(T) == 4) {
        if (!any(lt(excess, splat<f64x16>(special::kPreciseBelow<T>))))
            return excess;
        double excesses[16], sums[16], again[16];
        f64x16 lanes[16];
        store(excesses, excess);
        store(sums, others);
        // No processor can predict which rows need a second sum: they are listed first, without branches.
        index_t listed[16 + 1], count_of = 0;
        for (index_t i = 0; i < b.rows; ++i) {
            listed[count_of] = i;
            count_of += excesses[i] < special::kPreciseBelow<T> && !b.irregular[i] ? 1 : 0;
        }
        for (index_t k = 0; k < count_of; ++k) {
            const index_t i = listed[k];
            const ExpMap<T> map = {T(0), T(0), b.lowest[i], b.magic[i]};
            lanes[k] = precise_lanes(r.x + (b.first + i) * r.x_stride, r.n,
                                     Terms<false, T>(map, b.c_hi[i], b.c_lo[i], b.max[i]));
        }
        for (index_t k = count_of; k < 16; ++k)
            lanes[k] = splat<f64x16>(0.0);
        store(again, fold_sum_rows(lanes));
        for (index_t k = 0; k < count_of; ++k)
            sums[listed[k]] = again[k] * power_of_two_f64(-kHeadroom<T>);
        return row_excess(count, load(sums), load(b.max_mantissa));
    }
    return excess;
}

// From the rows' sums: what the last step needs, or the results of logsumexp.
template <RowOp op, bool wide, class T>
SORGUM_INLINE void finish_batch(Batch<T>& b, const f64x16* sums, const vec<T>* counts, const Rows<T>& r,
                                const LaneScale<T>& scale) {
    using V = vec<T>;
    using D = f64x16;
    const D count = to_f64(fold_sum_rows(counts)), mantissa = load(b.max_mantissa);
    const D raw = fold_sum_rows(sums);
    const D others = raw * splat<D>(power_of_two_f64(-kHeadroom<T>));
    bool some;
    mark_irregular(eq(raw, raw), b.irregular, some);
    if constexpr (scales_terms(op)) {
        const Scale<V> s = make_scale<V>(row_sum(count, others, mantissa), mantissa, load(b.top));
        store(b.factor, s.factor);
        store(b.low, s.low);
        store(b.top_result, s.top_result);
        store(b.fixed, s.fixed);
        store(b.tiny, s.tiny);
    } else {
        const D excess = row_excess(count, others, mantissa);
        if constexpr (op == RowOp::log_softmax) {
            const D precise = wide ? excess : refined(b, excess, count, others, r);
            store(b.minus_log, splat<D>(0.0) - log1p_positive(precise));
        } else {
            T result[16];
            store(result, from_f64<V>(log_sum_exp(load(b.max64), log1p_positive(excess), scale)));
            for (index_t i = 0; i < b.rows; ++i)
                if (!b.irregular[i])
                    r.y[(b.first + i) * r.y_stride] = result[i];
        }
    }
}

// Works on one row of each of the three batches, in one loop:
//
//            next          here                 before
//   sweep    x -> extremes                                     what map_batch makes references of
//   sum                    x -> terms -> w, sum                terms: of operations that scale them
//   write                                       w or x -> y    `writing`: how it is stored
//
// `w` holds the terms of the row of the batch before until its results are written, then those of this batch's.
template <RowOp op, Step parts, Writing writing, class T>
struct RowStep {
    using V = vec<T>;
    static constexpr bool sweep = has(parts, Step::sweep), sum = has(parts, Step::sum), write = has(parts, Step::write),
                          subnormal = has(parts, Step::subnormal), wide = has(parts, Step::wide);
    using Summand = std::conditional_t<wide, f64x16, V>;
    static constexpr bool above = scales_terms(op) && write && !subnormal;  // no element is below the map's least
    const T *next, *here, *before;
    T *y, *w;
    index_t n;
    Terms<false, T> terms;
    V max_next, min_next;
    Scale<V> result;
    LogShift<T> shift;
    OpenLine<T> line;  // Writing::slid
    const char* fetch[2];
    Product<T> product;

    template <bool whole>
    SORGUM_INLINE V load_some(const T* p, index_t left, T fill_value) const {
        if constexpr (whole)
            return load(p);
        else
            return load_first(p, left, fill_value);
    }

    // The vector at element i, of which `left` elements exist.
    template <bool whole>
    SORGUM_INLINE Summand step(index_t i, index_t left) {
        if constexpr (sweep)
            prefetch_ahead(next + i);
        return work<whole>(i, left);
    }
    // Vector v of a group of four that begins at element `first`.
    SORGUM_INLINE Summand step_in_group(index_t first, int v) {
        if constexpr (sweep)
            prefetch_ahead(next + first, v);
        else if constexpr (sum && !write)
            prefetch_second(fetch[v / 2] + first * 2 + v % 2 * 64);
        return work<true>(first + v * kLanes, kLanes);
    }

    template <bool whole>
    SORGUM_INLINE Summand work(index_t i, index_t left) {
        const T least = -from_bits(Format<T>::infinity);
        if constexpr (sweep) {
            const V e = load_some<whole>(next + i, left, least);
            max_next = max(e, max_next);
            if constexpr (scales_terms(op)) {
                min_next = min(whole ? e : load_some<whole>(next + i, left, -least), min_next);
            }
        }
        if constexpr (write && op == RowOp::log_softmax && whole && writing == Writing::cached) {
            store_shifted(y + i, before + i, shift);
        } else if constexpr (write) {
            V out;
            if constexpr (scales_terms(op)) {
                const V in = load(w + i);
                out = subnormal ? scale_subnormal(in, result) : scale_normal(in, result);
                if constexpr (op == RowOp::logsumexp_grad)
                    out = product(out);
            } else {
                out = shift(load_some<whole>(before + i, left, T(0)));
            }
            store_results<writing, whole>(line, y + i, out, left);
        }
        Summand summand = splat<Summand>(element_t<Summand>(0));
        if constexpr (sum && wide) {
            summand = terms.wide_summand(load_some<whole>(here + i, left, least));
        } else if constexpr (sum) {
            const V e = load_some<whole>(here + i, left, least);
            V value;
            if constexpr (above && whole)
                value = terms.value_above(e);
            else
                value = terms.value(e);
            if constexpr (scales_terms(op))
                store(w + i, value);
            summand = terms.summand(e, value);
        }
        if constexpr (writing != Writing::cached)
            keep_in_step();
        return summand;
    }

    SORGUM_INLINE V half_group(index_t i) {
        if (i + kGroup / 2 * kLanes <= n)
            return tree_sum<kGroup / 2>([&](int v) SORGUM_LAMBDA { return step_in_group(i, v); });
        V s[kGroup / 2];
        for (int v = 0; v < kGroup / 2; ++v)
            s[v] = splat<V>(T(0));
        int v = 0;
        for (; i + kLanes <= n; ++v, i += kLanes)
            s[v] = step<true>(i, kLanes);
        if (i < n)
            s[v] = step<false>(i, n - i);
        return tree_sum<kGroup / 2>([&](int k) SORGUM_LAMBDA { return s[k]; });
    }

    // In sequence.
    SORGUM_INLINE f64x16 run_wide() {
        f64x16 total = splat<f64x16>(0.0);
        const auto add = [&](f64x16 summand) SORGUM_LAMBDA {
            if constexpr (sum)
                total = total + summand;
        };
        index_t i = 0;
        for (; i + kGroup / 2 * kLanes <= n; i += kGroup / 2 * kLanes) {
#pragma GCC unroll 4
            for (int v = 0; v < kGroup / 2; ++v)
                add(step_in_group(i, v));
        }
        for (; i + kLanes <= n; i += kLanes)
            add(step<true>(i, kLanes));
        if (i < n)
            add(step<false>(i, n - i));
        return total;
    }

    SORGUM_INLINE f64x16 run() {
        if constexpr (wide)
            return run_wide();
        else
            return run_in_trees();
    }

    SORGUM_INLINE f64x16 run_in_trees() {
        LaneSum<T> lanes;
        V first = splat<V>(T(0));
        bool second = false;
        for (index_t i = 0; i < n; i += kGroup / 2 * kLanes, second = !second) {
            const V half = half_group(i);
            if constexpr (sum) {
                if (second)
                    lanes.add(first + half);
                else if (i + kGroup / 2 * kLanes >= n)
                    lanes.add(half);
                first = half;
            }
        }
        return lanes.lanes();
    }
};

// The three batches that are worked on, whose roles rotate, and the vectors that the rows' folds start from.
template <class T>
struct BatchState {
    Batch<T> ring[3];
    Batch<T>*before = &ring[0], *here = &ring[1], *next = &ring[2];
    vec<T> maxima[16], minus_minima[16], counts[16];
    f64x16 sums[16];
    OpenLine<T> line;

    SORGUM_INLINE BatchState() {
        line.last = splat<vec<T>>(T(0));
        line.tail = 0;
        for (Batch<T>& b : ring)
            b.first = b.rows = 0;
        before->subnormal = here->subnormal = false;
        const vec<T> zero = splat<vec<T>>(T(0));
        for (int i = 0; i < 16; ++i) {
            maxima[i] = minus_minima[i] = counts[i] = zero;
            sums[i] = splat<f64x16>(0.0);
        }
    }
    SORGUM_INLINE void rotate() {
        Batch<T>* const done = before;
        before = here;
        here = next;
        next = done;
    }
};

template <RowOp op, Step parts, Writing writing, class T>
SORGUM_INLINE void row_step(const Rows<T>& r, BatchState<T>& s, index_t i, T* w) {
    using V = vec<T>;
    const ExpMap<T> map = {T(0), T(0), s.here->lowest[i], s.here->magic[i]};
    const auto place = [&](const char* p) SORGUM_LAMBDA {  // or what is in the cache anyway
        return p == nullptr ? reinterpret_cast<const char*>(w) : p + (s.here->first + i) * r.n * 2;
    };
    using Work = RowStep<op, parts, writing, T>;
    Work step = {r.x + (s.next->first + i) * r.x_stride,
                 r.x + (s.here->first + i) * r.x_stride,
                 r.x + (s.before->first + i) * r.x_stride,
                 r.y + (s.before->first + i) * r.y_stride,
                 w,
                 r.n,
                 Terms<false, T>(map, s.here->c_hi[i], s.here->c_lo[i], s.here->max[i]),
                 splat<V>(-from_bits(Format<T>::infinity)),
                 splat<V>(from_bits(Format<T>::infinity)),
                 scale_of(*s.before, i),
                 shift_of(*s.before, i),
                 s.line,
                 {place(r.fetch[0]), place(r.fetch[1])},
                 {}};
    if constexpr (op == RowOp::logsumexp_grad && Work::write)
        step.product = Product<T>(r.factors[s.before->first + i]);
    const f64x16 total = step.run();
    if constexpr (Work::write && writing == Writing::slid) {
        s.line = step.line;
        s.line.end = step.y + r.n;
    }
    if constexpr (Work::sweep) {
        s.maxima[i] = step.max_next;
        s.minus_minima[i] = splat<V>(T(0)) - step.min_next;
    }
    if constexpr (Work::sum) {
        s.sums[i] = total;
        s.counts[i] = integer_to_float<V>(step.terms.count);
    }
}

// The steps that write nothing: the first and the last of a call, and those of rows that are written apart.
template <RowOp op, Step parts, class T>
SORGUM_NOINLINE void read_step(const Rows<T>& r, BatchState<T>& s, index_t i, T* w) {
    row_step<op, parts, Writing::cached>(r, s, i, w);
}

// The last rows of a call, and those before rows that are read apart, go on where a line is open.
template <RowOp op, Step results, class T>
SORGUM_NOINLINE void slide_step(const Rows<T>& r, BatchState<T>& s, index_t i, T* w) {
    row_step<op, results, Writing::slid>(r, s, i, w);
}

// Writes a row in a loop of its own.
template <RowOp op, class T>
SORGUM_NOINLINE void write_apart(const Rows<T>& r, const Batch<T>& b, index_t i, const T* w) {
    using V = vec<T>;
    T* const y = r.y + (b.first + i) * r.y_stride;
    if constexpr (op == RowOp::log_softmax) {
        const LogShift<T> shift = shift_of(b, i);
        map_elements(r.x + (b.first + i) * r.x_stride, y, r.n, r.streaming,
                     [&](V in) SORGUM_LAMBDA { return shift(in); });
    } else {
        const Scale<V> s = scale_of(b, i);
        const auto write = [&](const auto& last) SORGUM_LAMBDA {
            if (b.subnormal)
                map_elements(w, y, r.n, r.streaming, [&](V in) SORGUM_LAMBDA { return last(scale_subnormal(in, s)); });
            else
                map_elements(w, y, r.n, r.streaming, [&](V in) SORGUM_LAMBDA { return last(scale_normal(in, s)); });
        };
        if constexpr (op == RowOp::logsumexp_grad)
            write(Product<T>(r.factors[b.first + i]));
        else
            write(Unchanged());
    }
}

// `results`: what is done in writing, or none; and Step::wide, where that is done in summing.
template <RowOp op, Step results, Writing writing, class T>
SORGUM_INLINE void step_batches(const Rows<T>& r, const ExpScale<T>& scale, BatchState<T>& s, T* scratch,
                                index_t padded) {
    constexpr bool writes = has(results, Step::write);
    constexpr Step summing = Step::sum | (results & Step::wide), reading = Step::sweep | summing;
    for (index_t i = 0; i < s.next->rows || i < s.here->rows || i < s.before->rows; ++i) {
        T* w = scratch + i * padded;
        const bool irregular = i < s.before->rows && s.before->irregular[i];
        const bool sweep = i < s.next->rows, sum = i < s.here->rows, write = i < s.before->rows && !irregular;
        if constexpr (writes && writing != Writing::apart) {
            // A row that begins a line is written apart.
            if (sweep && sum && write && (writing != Writing::slid || s.line.end != nullptr)) {
                row_step<op, reading | results, writing>(r, s, i, w);
                continue;
            }
        }
        if (irregular) {
            if constexpr (writing == Writing::slid)
                s.line.close();
            single_row<op>(r, s.before->first + i, scale);
        }
        if constexpr (writing == Writing::slid) {
            if (write && s.line.end != nullptr) {
                slide_step<op, results>(r, s, i, w);
            } else if (write) {
                write_apart<op>(r, *s.before, i, w);
                s.line.open(r.y + (s.before->first + i) * r.y_stride + r.n);
            }
        } else if constexpr (writes) {
            if (write)
                write_apart<op>(r, *s.before, i, w);
        }
        if (sweep && sum)
            read_step<op, reading>(r, s, i, w);
        else if (sweep)
            read_step<op, Step::sweep>(r, s, i, w);
        else if (sum)
            read_step<op, summing>(r, s, i, w);
    }
}

// To save code, these leave out the rarer steps: their rows that would be slid, or may have subnormal results, are
// written apart.
template <RowOp op, class T>
inline constexpr bool kLean = sizeof(T) == 8 || op == RowOp::logsumexp_grad;

template <RowOp op, Step results, class T>
SORGUM_INLINE void step_batches(Writing writing, const Rows<T>& r, const ExpScale<T>& scale, BatchState<T>& s,
                                T* scratch, index_t padded) {
    if constexpr (op == RowOp::logsumexp) {
        return step_batches<op, Step::none, Writing::cached>(r, scale, s, scratch, padded);
    } else {
        if constexpr (!has(results, Step::subnormal) || !kLean<op, T>) {
            if (writing == Writing::cached)
                return step_batches<op, results, Writing::cached>(r, scale, s, scratch, padded);
            if (writing == Writing::streamed)
                return step_batches<op, results, Writing::streamed>(r, scale, s, scratch, padded);
        }
        if constexpr (!kLean<op, T>)
            if (writing == Writing::slid)
                return step_batches<op, results, Writing::slid>(r, scale, s, scratch, padded);
        step_batches<op, Step::write | (results & Step::wide), Writing::apart>(r, scale, s, scratch, padded);
    }
}

// `width`: Step::wide or none.
template <RowOp op, Step width, class T>
SORGUM_NOINLINE void batched_rows(const Rows<T>& r, const ExpScale<T>& scale) {
    const index_t fitting = kBatch<T> / r.n;
    const index_t per_batch = fitting > 16 ? 16 : fitting < 1 ? 1 : fitting;
    const index_t padded = (r.n + kLanes - 1) / kLanes * kLanes;
    alignas(64) T scratch[kChunk + 16 * kLanes];
    BatchState<T> s;
    LaneScale<T> of_batch(scale);
    for (Batch<T>& b : s.ring)
        set_scale(b, of_batch);
    const Writing writing = writing_of(r.y, r.y_stride, r.n, r.streaming, !kLean<op, T>);
    for (index_t first = 0; s.here->rows > 0 || s.before->rows > 0 || first < r.rows; first += per_batch) {
        s.next->first = first;
        s.next->rows = first >= r.rows ? 0 : r.rows - first < per_batch ? r.rows - first : per_batch;
        bool subnormal = false;
        if constexpr (scales_terms(op))
            subnormal = s.before->subnormal || s.here->subnormal;
        if constexpr (scales_terms(op))
            if (subnormal)
                step_batches<op, Step::write | Step::subnormal>(writing, r, scale, s, scratch, padded);
        if (!subnormal)
            step_batches<op, Step::write | width>(writing, r, scale, s, scratch, padded);
        if (s.here->rows > 0)
            finish_batch<op, has(width, Step::wide)>(*s.here, s.sums, s.counts, r, of_batch);
        if (s.next->rows > 0) {
            if (r.temperatures != nullptr) {
                of_batch = LaneScale<T>(load_first(r.temperatures + first, s.next->rows, 1.0));
                set_scale(*s.next, of_batch);
            }
            map_batch<op>(*s.next, s.maxima, s.minus_minima, of_batch);
        }
        s.rotate();
    }
    if (writing == Writing::slid)
        s.line.close();
    if (r.streaming)
        stream_fence();
}

template <RowOp op, class T>
SORGUM_INLINE void batched_rows(const Rows<T>& r, const ExpScale<T>& scale) {
    if constexpr (kIsPrecise<op, T>)
        if (r.n < kShortRow)
            return batched_rows<op, Step::wide>(r, scale);
    batched_rows<op, Step::none>(r, scale);
}

SORGUM_ISA_END
