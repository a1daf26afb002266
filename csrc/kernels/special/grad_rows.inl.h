// The products of whole rows: one loop writes the results of a row and sums a later one, so that memory is read and
// written evenly. Short rows are taken in batches, whose folds are done together by the same trees.
#pragma once

#include "kernels/special/grad.inl.h"
#include "kernels/special/writing.inl.h"

SORGUM_ISA_BEGIN

template <class T>
inline constexpr index_t kGradBatch = 16384 / static_cast<index_t>(sizeof(T));  // elements of each input

// Rows whose sums are known: one entry per row.
template <class T>
struct GradBatch {
    index_t rows = 0;
    const T *y, *dy;
    T* dx;
    T high[16], low[16];
    bool extreme[16];
};

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
    SORGUM_INLINE void totals(GradBatch<T>& b, double temperature) const {
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
            b.extreme[i] = is_extreme_sum<T>(of_row[i], temperature);
    }
};

// One row is summed, and one whose sum is known is written. Of rows longer than a chunk, all but the last chunks are
// whole.
template <GradOp op, bool sums, bool writes, Writing writing, class T>
struct GradStep {
    using V = vec<T>;
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
            into.add(op == GradOp::softmax ? load_sum(y_next) : splat<f64x16>(0.0), load_sum(dy_next));
        }
        if constexpr (writes) {
            const V out = map(load_some(y), load_some(dy));
            if constexpr (writing == Writing::slid && whole) {
                line.add(dx + i, out);
            } else if constexpr (writing == Writing::slid) {
                line.add_first(dx + i, out, left);
            } else if constexpr (!whole) {
                store_first(dx + i, out, left);
            } else if constexpr (writing == Writing::streamed) {
                stream(dx + i, out);
            } else {
                store(dx + i, out);
            }
        }
        keep_in_step();
    }
    template <class... Vector>
    SORGUM_INLINE void fetch(index_t i, Vector... v) const {
        if (!prefetching)
            return;
        if constexpr (sums)
            prefetch_ahead(dy_next + i, v...);
        if constexpr (sums && op == GradOp::softmax)
            prefetch_ahead(y_next + i, v...);
        if constexpr (writes && op == GradOp::log_softmax)
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
    GradBatch<T> batches[2];
    GradBatch<T>*here = &batches[0], *next = &batches[1];
    GradSums<op, T> sums;
    SumPair long_row;
    OpenLine<T> line;
};

template <GradOp op, bool sums, bool writes, Writing writing, class T>
SORGUM_INLINE void grad_step(const GradRows<T>& r, const GradMap<op, T>& scale, GradState<op, T>& s, index_t i) {
    using V = vec<T>;
    const GradBatch<T>&here = *s.here, &next = *s.next;
    GradMap<op, T> map = scale;
    map.set_sum(splat<V>(here.high[i]), splat<V>(here.low[i]));
    // A batch that is not used may be none, of null pointers.
    const index_t read = sums ? i : 0, written = writes ? i : 0;
    GradStep<op, sums, writes, writing, T> step = {next.y + read * r.y_stride,
                                                   next.dy + read * r.dy_stride,
                                                   here.y + written * r.y_stride,
                                                   here.dy + written * r.dy_stride,
                                                   here.dx + written * r.dx_stride,
                                                   map,
                                                   s.line,
                                                   r.streaming,
                                                   {}};
    SumPair total = {0.0, 0.0};
    for (index_t begin = 0; begin < r.n; begin += kChunk) {
        step.run(begin, r.n - begin < kChunk ? r.n : begin + kChunk);
        if constexpr (sums) {
            if (r.n <= kChunk) {
                s.sums.set(i, step.lanes[0], step.lanes[1]);
            } else {
                const SumPair chunk = GradLanes<op, T>::fold(step.lanes[0], step.lanes[1]);
                total = begin == 0 ? chunk : add_chunk(total, chunk);
                s.long_row = total_of(total);
            }
        }
    }
    if constexpr (writes && writing == Writing::slid) {
        s.line = step.line;
        s.line.end = step.dx + r.n;
    }
}

// The steps of the first and the last rows, and of those that begin a line, or are written apart.
template <GradOp op, class T>
SORGUM_NOINLINE void sum_apart(const GradRows<T>& r, const GradMap<op, T>& scale, GradState<op, T>& s, index_t i) {
    grad_step<op, true, false, Writing::cached>(r, scale, s, i);
}
template <GradOp op, class T>
SORGUM_NOINLINE void write_apart(const GradRows<T>& r, const GradMap<op, T>& scale, GradState<op, T>& s, index_t i,
                                 bool streaming) {
    using V = vec<T>;
    GradMap<op, T> map = scale;
    map.set_sum(splat<V>(s.here->high[i]), splat<V>(s.here->low[i]));
    map_pairs<op == GradOp::log_softmax>(s.here->y + i * r.y_stride, s.here->dy + i * r.dy_stride,
                                         s.here->dx + i * r.dx_stride, r.n, streaming, map);
}

template <GradOp op, Writing writing, class T>
SORGUM_INLINE void step_rows(const GradRows<T>& r, const GradMap<op, T>& scale, GradState<op, T>& s,
                             double temperature) {
    for (index_t i = 0; i < s.here->rows || i < s.next->rows; ++i) {
        const bool extreme = i < s.here->rows && s.here->extreme[i];
        const bool sums = i < s.next->rows, writes = i < s.here->rows && !extreme;
        if (sums && writes && writing != Writing::apart && (writing != Writing::slid || s.line.end != nullptr)) {
            grad_step<op, true, true, writing>(r, scale, s, i);
            continue;
        }
        if (writing == Writing::slid && (writes || extreme))
            s.line.close();
        if (extreme)
            extreme_row<op>(s.here->y + i * r.y_stride, s.here->dy + i * r.dy_stride, s.here->dx + i * r.dx_stride, r.n,
                            temperature);
        if (writes) {
            write_apart<op>(r, scale, s, i, r.streaming && writing != Writing::cached);
            if (writing == Writing::slid)
                s.line.open(s.here->dx + i * r.dx_stride + r.n);
        }
        if (sums)
            sum_apart<op>(r, scale, s, i);
    }
}

template <class T>
inline constexpr bool kGradSlides = sizeof(T) == 4;  // float64 does without, for the size of the code

template <GradOp op, class T>
SORGUM_NOINLINE void grad_rows(const GradRows<T>& r, double temperature) {
    using V = vec<T>;
    if (is_extreme_temperature<T>(temperature)) {
        for (index_t i = 0; i < r.rows; ++i)
            extreme_row<op>(r.y + i * r.y_stride, r.dy + i * r.dy_stride, r.dx + i * r.dx_stride, r.n, temperature);
        return;
    }
    const index_t fitting = kGradBatch<T> / r.n;
    const index_t per_batch = fitting > 16 ? 16 : fitting < 1 ? 1 : fitting;
    GradMap<op, T> scale(temperature);
    scale.set_sum(splat<V>(T(0)), splat<V>(T(0)));
    const Writing writing = writing_of(r.dx, r.dx_stride, r.n, r.streaming, kGradSlides<T>);
    GradState<op, T> s;
    for (index_t first = 0; s.here->rows > 0 || first < r.rows; first += per_batch) {
        s.next->rows = first >= r.rows ? 0 : r.rows - first < per_batch ? r.rows - first : per_batch;
        s.next->y = r.y + first * r.y_stride;
        s.next->dy = r.dy + first * r.dy_stride;
        s.next->dx = r.dx + first * r.dx_stride;
        if (writing == Writing::cached)
            step_rows<op, Writing::cached>(r, scale, s, temperature);
        else if (writing == Writing::streamed)
            step_rows<op, Writing::streamed>(r, scale, s, temperature);
        else if (writing == Writing::slid)
            step_rows<op, kGradSlides<T> ? Writing::slid : Writing::apart>(r, scale, s, temperature);
        else
            step_rows<op, Writing::apart>(r, scale, s, temperature);
        if (s.next->rows > 0) {
            if (r.n <= kChunk) {
                s.sums.totals(*s.next, temperature);
            } else {
                V high, low;
                GradMap<op, T>::split(high, low, s.long_row);
                store(s.next->high, high);
                store(s.next->low, low);
                s.next->extreme[0] = is_extreme_sum<T>(s.long_row.high, temperature);
            }
        }
        GradBatch<T>* const written = s.here;
        s.here = s.next;
        s.next = written;
    }
    if (writing == Writing::slid)
        s.line.close();
    if (r.streaming)
        stream_fence();
}

SORGUM_ISA_END
