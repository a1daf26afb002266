// The products of whole rows: one loop writes the results of a row and sums a later one, so that memory is read and
// written evenly. Short rows are taken in batches, whose folds are done together by the same trees.
#pragma once

#include "kernels/special/grad.inl.h"
#include "kernels/special/row_step.inl.h"
#include "kernels/special/writing.inl.h"

SORGUM_ISA_BEGIN

template <class T>
inline constexpr index_t kGradBatch = 16384 / static_cast<index_t>(sizeof(T));  // elements of each input

// Rows whose sums are known: one entry per row.
template <GradOp op, class T>
struct GradBatch {
    index_t rows = 0;
    const T *y, *dy;
    T* dx;
    T high[16], low[16];
    // The temperatures: what GradMap knows of them.
    T inverse[16], inverse_low[16], up[16];
    double temperature[16];
    bool divides;
    bool extreme[16];  // to be done by extreme_row

    SORGUM_INLINE void set_temperatures(const GradMap<op, T>& map) {
        store(inverse, map.inverse);
        store(inverse_low, map.inverse_low);
        store(up, map.up);
        divides = map.divides;
    }
    SORGUM_INLINE GradMap<op, T> map_of(index_t i) const {
        using V = vec<T>;
        GradMap<op, T> map;
        map.inverse = splat<V>(inverse[i]);
        map.inverse_low = splat<V>(inverse_low[i]);
        map.up = splat<V>(up[i]);
        map.divides = divides;
        map.set_sum(splat<V>(high[i]), splat<V>(low[i]));
        return map;
    }
};

// What `rows` <= 16 rows are divided by, a lane each.
template <GradOp op, class T>
SORGUM_NOINLINE GradMap<op, T> grad_map_of(const double* temperatures, index_t rows) {
    using V = vec<T>;
    using D = f64x16;
    double of_row[kLanes], up[kLanes];
    for (index_t i = 0; i < kLanes; ++i) {
        of_row[i] = i < rows ? temperatures[i] : 1.0;
        up[i] = up_of(of_row[i]);
    }
    const D power = load(up), t = load(of_row) * power, reciprocal = splat<D>(1.0) / t;
    const D rest = fma(splat<D>(0.0) - reciprocal, t, splat<D>(1.0)) / t;
    GradMap<op, T> map;
    map.inverse = from_f64<V>(reciprocal);
    map.inverse_low = rest_of(reciprocal, rest, map.inverse);
    map.up = from_f64<V>(power);
    return map;
}

// The sums of a batch's rows, in lanes.
template <GradOp op, class T>
struct GradSums {
    f64x16 sums[16], errors[16];  // of float products there are no errors
    SORGUM_INLINE GradSums() {
        for (int i = 0; i < 16; ++i)
            sums[i] = errors[i] = splat<f64x16>(0.0);
    }
    SORGUM_INLINE void set(index_t i, const GradLanes<op, T>& a, const GradLanes<op, T>& b) {
        if constexpr (sizeof(T) == 4) {
            sums[i] = a.sum + b.sum;
        } else {
            sums[i] = a.lanes.sum + b.lanes.sum;
            errors[i] = a.lanes.error + b.lanes.error;
        }
    }
    // total_of every row, as pairs of T.
    SORGUM_INLINE void totals(GradBatch<op, T>& b) const {
        const f64x16 zero = splat<f64x16>(0.0), nan = splat<f64x16>(__builtin_nan(""));
        const f64x16 sum = fold_sum_rows(sums);
        const f64x16 error = sizeof(T) == 4 ? zero : fold_sum_rows(errors);
        const f64x16 exact = sum + error;
        const f64x16 total = select(eq(exact - exact, zero), exact, nan);
        const vec<T> nearest = from_f64<vec<T>>(total);
        store(b.high, nearest);
        store(b.low, rest_of(total, (sum - total) + error, nearest));
        double of_row[16];
        store(of_row, total);
        for (int i = 0; i < 16; ++i)
            b.extreme[i] =
                is_extreme_sum<T>(of_row[i], b.temperature[i]) || is_extreme_temperature<T>(b.temperature[i]);
    }
};

template <class T>
inline constexpr bool kGradOfOne = sizeof(T) == 4;  // steps for T = 1; float64 does without, for the size of the code

// One row is summed, and one whose sum is known is written. Of rows longer than a chunk, all but the last chunks are
// whole.
template <GradOp op, Step parts, Writing writing, class T>
struct GradStep {
    using V = vec<T>;
    static constexpr bool sums = has(parts, Step::sum), writes = has(parts, Step::write),
                          divides = has(parts, Step::divide);
    const T *y_next, *dy_next, *y, *dy;
    T* dx;
    GradMap<op, T> map;
    OpenLine<T> line;  // Writing::slid
    bool prefetching;  // not of small arrays: they are likely to be in a cache
    GradLanes<op, T> lanes[2];

    // The vector at element i, of which `left` elements exist.
    template <bool whole>
    SORGUM_INLINE void step(index_t i, index_t left, GradLanes<op, T>& into) {
        const auto load_some = [&](const T* p)
                                   SORGUM_LAMBDA { return whole ? load(p + i) : load_first(p + i, left, T(0)); };
        if constexpr (sums) {
            const auto load_sum = [&](const T* p)
                                      SORGUM_LAMBDA { return whole ? load_f64(p + i) : to_f64(load_some(p)); };
            into.add(op == GradOp::softmax_grad ? load_sum(y_next) : splat<f64x16>(0.0), load_sum(dy_next));
        }
        if constexpr (writes) {
            const V of_y = load_some(y), of_dy = load_some(dy);
            const V out = kGradOfOne<T> ? map.template of<divides>(of_y, of_dy) : map(of_y, of_dy);
            store_results<writing, whole>(line, dx + i, out, left);
        }
        keep_in_step();
    }
    template <class... Vector>
    SORGUM_INLINE void fetch(index_t i, Vector... v) const {
        if (!prefetching)
            return;
        if constexpr (sums)
            prefetch_ahead(dy_next + i, v...);
        if constexpr (sums && op == GradOp::softmax_grad)
            prefetch_ahead(y_next + i, v...);
        if constexpr (writes && op == GradOp::log_softmax_grad)
            prefetch_ahead(y + i, v...);
    }

    // A part of at most one chunk.
    SORGUM_INLINE void run(index_t begin, index_t end) {
        lanes[0] = lanes[1] = GradLanes<op, T>();
        index_t i = begin;
        for (; i + kGradGroup<T> * kLanes <= end; i += kGradGroup<T> * kLanes) {
#pragma GCC unroll 4
            for (int v = 0; v < kGradGroup<T>; ++v) {
                fetch(i, v);
                step<true>(i + v * kLanes, kLanes, lanes[v % 2]);
            }
        }
        // The sums stay in registers only if their places are constants.
        if (kGradGroup<T> > 2 && i + 2 * kLanes <= end) {
            fetch(i);
            step<true>(i, kLanes, lanes[0]);
            fetch(i + kLanes);
            step<true>(i + kLanes, kLanes, lanes[1]);
            i += 2 * kLanes;
        }
        if (i + kLanes <= end) {
            fetch(i);
            step<true>(i, kLanes, lanes[0]);
            i += kLanes;
            if (i < end)
                step<false>(i, end - i, lanes[1]);
        } else if (i < end) {
            step<false>(i, end - i, lanes[0]);
        }
    }
};

// What is in flight: the rows to be written, and the sums of the next ones.
template <GradOp op, class T>
struct GradState {
    GradBatch<op, T> batches[2];
    GradBatch<op, T>*here = &batches[0], *next = &batches[1];
    GradSums<op, T> sums;
    SumPair long_row;
    OpenLine<T> line;
};

template <GradOp op, Step parts, Writing writing, class T>
SORGUM_INLINE void grad_step(const GradRows<T>& r, GradState<op, T>& s, index_t i) {
    const GradBatch<op, T>&here = *s.here, &next = *s.next;
    // A batch that is not used may be none, of null pointers.
    using Work = GradStep<op, parts, writing, T>;
    const index_t read = Work::sums ? i : 0, written = Work::writes ? i : 0;
    Work step = {next.y + read * r.y_stride,
                 next.dy + read * r.dy_stride,
                 here.y + written * r.y_stride,
                 here.dy + written * r.dy_stride,
                 here.dx + written * r.dx_stride,
                 here.map_of(i),
                 s.line,
                 r.streaming,
                 {}};
    SumPair total = {0.0, 0.0};
    for (index_t begin = 0; begin < r.n; begin += kChunk) {
        step.run(begin, r.n - begin < kChunk ? r.n : begin + kChunk);
        if constexpr (Work::sums) {
            if (r.n <= kChunk) {
                s.sums.set(i, step.lanes[0], step.lanes[1]);
            } else {
                const SumPair chunk = GradLanes<op, T>::fold(step.lanes[0], step.lanes[1]);
                total = begin == 0 ? chunk : add_chunk(total, chunk);
                s.long_row = total_of(total);
            }
        }
    }
    if constexpr (Work::writes && writing == Writing::slid) {
        s.line = step.line;
        s.line.end = step.dx + r.n;
    }
}

// The steps of the first and the last rows, and of those that begin a line, or are written apart.
template <GradOp op, class T>
SORGUM_NOINLINE void sum_apart(const GradRows<T>& r, GradState<op, T>& s, index_t i) {
    grad_step<op, Step::sum, Writing::cached>(r, s, i);
}
template <GradOp op, class T>
SORGUM_NOINLINE void write_apart(const GradRows<T>& r, GradState<op, T>& s, index_t i, bool streaming) {
    map_pairs<op == GradOp::log_softmax_grad>(s.here->y + i * r.y_stride, s.here->dy + i * r.dy_stride,
                                              s.here->dx + i * r.dx_stride, r.n, streaming, s.here->map_of(i));
}

// `results`: what is done in writing.
template <GradOp op, Step results, Writing writing, class T>
SORGUM_INLINE void step_rows(const GradRows<T>& r, GradState<op, T>& s) {
    for (index_t i = 0; i < s.here->rows || i < s.next->rows; ++i) {
        const bool extreme = i < s.here->rows && s.here->extreme[i];
        const bool sums = i < s.next->rows, writes = i < s.here->rows && !extreme;
        if (sums && writes && writing != Writing::apart && (writing != Writing::slid || s.line.end != nullptr)) {
            grad_step<op, Step::sum | results, writing>(r, s, i);
            continue;
        }
        if (writing == Writing::slid && (writes || extreme))
            s.line.close();
        if (extreme)
            extreme_row<op>(s.here->y + i * r.y_stride, s.here->dy + i * r.dy_stride, s.here->dx + i * r.dx_stride, r.n,
                            s.here->temperature[i]);
        if (writes) {
            write_apart<op>(r, s, i, r.streaming && writing != Writing::cached);
            if (writing == Writing::slid)
                s.line.open(s.here->dx + i * r.dx_stride + r.n);
        }
        if (sums)
            sum_apart<op>(r, s, i);
    }
}

template <class T>
inline constexpr bool kGradSlides = sizeof(T) == 4;  // float64 does without, for the size of the code

template <GradOp op, Step results, class T>
SORGUM_INLINE void step_rows(Writing writing, const GradRows<T>& r, GradState<op, T>& s) {
    if (writing == Writing::cached)
        step_rows<op, results, Writing::cached>(r, s);
    else if (writing == Writing::streamed)
        step_rows<op, results, Writing::streamed>(r, s);
    else if (writing == Writing::slid)
        step_rows<op, results, kGradSlides<T> ? Writing::slid : Writing::apart>(r, s);
    else
        step_rows<op, results, Writing::apart>(r, s);
}

// The temperatures of the next batch, whose rows begin with row `first`.
template <GradOp op, class T>
SORGUM_INLINE void set_temperatures(const GradRows<T>& r, index_t first, GradBatch<op, T>& batch) {
    const double* const temperatures = r.temperatures + first;
    for (index_t i = 0; i < batch.rows; ++i)
        batch.temperature[i] = temperatures[i];
    batch.set_temperatures(grad_map_of<op, T>(temperatures, batch.rows));
}

template <GradOp op, class T>
SORGUM_NOINLINE void grad_rows(const GradRows<T>& r, double temperature) {
    using V = vec<T>;
    const index_t fitting = kGradBatch<T> / r.n;
    const index_t per_batch = fitting > 16 ? 16 : fitting < 1 ? 1 : fitting;
    const Writing writing = writing_of(r.dx, r.dx_stride, r.n, r.streaming, kGradSlides<T>);
    const bool divides = !kGradOfOne<T> || r.temperatures != nullptr || temperature != 1.0;
    GradState<op, T> s;
    for (GradBatch<op, T>& b : s.batches) {
        for (double& t : b.temperature)
            t = temperature;
        b.set_temperatures(GradMap<op, T>(temperature));
    }
    for (index_t first = 0; s.here->rows > 0 || first < r.rows; first += per_batch) {
        s.next->rows = first >= r.rows ? 0 : r.rows - first < per_batch ? r.rows - first : per_batch;
        s.next->y = r.y + first * r.y_stride;
        s.next->dy = r.dy + first * r.dy_stride;
        s.next->dx = r.dx + first * r.dx_stride;
        if (divides)
            step_rows<op, Step::write | Step::divide>(writing, r, s);
        else
            step_rows<op, kGradOfOne<T> ? Step::write : Step::write | Step::divide>(writing, r, s);
        if (s.next->rows > 0) {
            if (r.temperatures != nullptr)
                set_temperatures(r, first, *s.next);
            if (r.n <= kChunk) {
                s.sums.totals(*s.next);
            } else {
                V high, low;
                GradMap<op, T>::split(high, low, s.long_row);
                store(s.next->high, high);
                store(s.next->low, low);
                const double t = s.next->temperature[0];
                s.next->extreme[0] = is_extreme_sum<T>(s.long_row.high, t) || is_extreme_temperature<T>(t);
            }
        }
        GradBatch<op, T>* const written = s.here;
        s.here = s.next;
        s.next = written;
    }
    if (writing == Writing::slid)
        s.line.close();
    if (r.streaming)
        stream_fence();
}

SORGUM_ISA_END
