// Whole rows of more than one chunk, one after the other: one loop writes the results of a row and sums the next one,
// so that memory is read and written while sums are computed. The bits are those of the two passes one after the other.
#pragma once

#include "kernels/special/row_lanes.inl.h"

SORGUM_ISA_BEGIN

template <class T>
SORGUM_INLINE void put(T* y, vec<T> result, bool streaming) {
    if (streaming)
        stream(y, result);
    else
        store(y, result);
}

// Writes the results of the row before, a vector at a time, from a cache line on; elements before the first of these
// vectors and behind the last are written separately.
//
// The terms w of softmax, formed for the sum, are kept and scaled. They are relative to the maximum of their chunk. A
// power of two, which goes into the factor, makes them relative to the row's, and no bit changes. A chunk is computed
// from x where its terms were not kept, or where they are so small that the factor would not be normal.
template <RowOp op, class T>
struct SecondPass {
    static constexpr bool active = true;
    using V = vec<T>;
    static constexpr index_t kNotKept = INT64_MIN;
    const T* x = nullptr;
    T *y = nullptr, *terms;
    bool streaming;
    index_t n = 0, done = 0, border = 0;  // border: the end of the chunk in hand
    Scale<V> factor, of_row;
    const ExpScale<T>* scale;
    Reference<T> ref;
    T max;
    Product<T> product;
    index_t exponents[2][kMostKept / kChunk];  // of the chunks' references: the row before, and the one that is summed
    index_t *of_before = exponents[0], *of_next = exponents[1];

    SORGUM_INLINE SecondPass(const Rows<T>& r) : terms(r.terms), streaming(r.streaming) {}
    SORGUM_INLINE void start(const Rows<T>& r, index_t i, const ExpScale<T>& s, const RowResult<T>& row) {
        x = r.x + i * r.x_stride;
        y = r.y + i * r.y_stride;
        n = r.n;
        done = border = 0;
        scale = &s;
        ref = reference_of(s, row.max);
        max = row.max;
        if constexpr (op == RowOp::logsumexp_grad)
            product = Product<T>(r.factors[i]);
        of_row = make_scale<V>(row, Terms<false, T>(ref.map, s, max).value(splat<V>(max)));
        index_t* const read = of_before;
        of_before = of_next;
        of_next = read;
        enter();
        to_line();
    }
    // The chunk at `done`.
    SORGUM_NOINLINE void enter() {
        while (done < n) {
            const index_t exponent = of_before[done / kChunk];
            border = n - done < kChunk ? n : done + kChunk;
            const double up = exponent == kNotKept ? 0.0 : power_of_two_f64(ref.exponent - exponent);
            const double down = exponent == kNotKept ? 0.0 : power_of_two_f64(exponent - ref.exponent);
            double row_factor[16];
            store(row_factor, to_f64(of_row.factor));
            if (row_factor[0] * down >= kLeastFactor) {
                const V higher = splat<V>(static_cast<T>(up)), lower = splat<V>(static_cast<T>(down));
                factor = {of_row.factor * lower, of_row.low * lower,  of_row.fixed * lower,
                          of_row.tiny * higher,  of_row.top * higher, of_row.top_result};
                return;
            }
            const Terms<false, T> apart(ref.map, *scale, max);
            map_elements(x + done, y + done, border - done, false,
                         [&](V e) SORGUM_LAMBDA { return last(scale_subnormal(apart.value(e), of_row)); });
            done = border;
        }
    }
    SORGUM_INLINE V last(V y) const {
        if constexpr (op == RowOp::logsumexp_grad)
            return product(y);
        else
            return y;
    }
    SORGUM_INLINE V result(V w, const Scale<V>& f) const {
        if (__builtin_expect(any(both(lt(w, f.tiny), lt(splat<V>(T(0)), w))), 0))
            return last(scale_subnormal(w, f));
        return last(scale_normal(w, f));
    }
    SORGUM_INLINE void part(index_t end) {
        store_first(y + done, result(load_first(terms + done, end - done, T(0)), factor), end - done);
        done = end;
    }
    SORGUM_INLINE void to_line() {
        const index_t left = elements_to_boundary(y + done);
        if (done < n)
            part(left < border - done ? done + left : border);
    }
    // A step across the end of the chunk: as many elements as any other, since the sum's terms follow close behind.
    SORGUM_NOINLINE void cross() {
        const index_t end = done + kLanes;
        part(border);
        enter();
        if (done < end)
            part(end < border ? end : border);
        else
            to_line();
    }
    SORGUM_INLINE void step() {
        if (__builtin_expect(done + kLanes > border, 0)) {
            if (done < n)
                cross();
            return;
        }
        put(y + done, result(load(terms + done), factor), streaming);
        done += kLanes;
    }
    SORGUM_NOINLINE void until(index_t end) {
        while (done < end && done < n) {
            run(end < border ? end : border);
            if (done < end)
                step();
        }
    }
    // Whole vectors of the chunk, with no other work beside them.
    SORGUM_INLINE void run(index_t end) {
        const Scale<V> by = factor;
        const bool past = streaming;
        index_t i = done;
        for (; i + kLanes <= end; i += kLanes)
            put(y + i, result(load(terms + i), by), past);
        done = i;
    }
    SORGUM_INLINE void chunk(index_t at, bool kept, index_t exponent) {
        of_next[at / kChunk] = kept ? exponent : kNotKept;
    }
    SORGUM_INLINE void keep(index_t at, V w) const { store(terms + at, w); }

private:
    static constexpr double kLeastFactor = Format<T>::smallest_normal * (sizeof(T) == 4 ? 1.0 : 0x1p60);
};

template <class T>
struct SecondPass<RowOp::log_softmax, T> {
    static constexpr bool active = true;
    using V = vec<T>;
    const T* x = nullptr;
    T* y = nullptr;
    index_t n = 0, done = 0;
    bool streaming;
    LogShift<T> shift;

    SORGUM_INLINE SecondPass(const Rows<T>& r) : streaming(r.streaming) {}
    SORGUM_INLINE void start(const Rows<T>& r, index_t i, const ExpScale<T>& scale, const RowResult<T>& row) {
        x = r.x + i * r.x_stride;
        y = r.y + i * r.y_stride;
        n = r.n;
        done = 0;
        shift = LogShift<T>(static_cast<double>(row.max), 0.0 - row.log_excess, scale);
        part(elements_to_boundary(y));
    }
    SORGUM_INLINE void part(index_t end) {
        store_first(y + done, shift(load_first(x + done, end - done, T(0))), end - done);
        done = end;
    }
    SORGUM_INLINE void step() {
        if (__builtin_expect(done + kLanes > n, 0)) {
            if (done < n)
                part(n);
            return;
        }
        put(y + done, shift(load(x + done)), streaming);
        done += kLanes;
    }
    SORGUM_NOINLINE void until(index_t end) {
        run(end < n ? end : n);
        while (done < end && done < n)
            step();
    }
    // Whole vectors, with no other work beside them.
    SORGUM_INLINE void run(index_t end) {
        const LogShift<T> by = shift;
        for (; !streaming && done + kLanes <= end; done += kLanes)
            store_shifted(y + done, x + done, by);
        for (; done + kLanes <= end; done += kLanes)
            stream(y + done, by(load(x + done)));
    }
    SORGUM_INLINE void chunk(index_t, bool, index_t) const {}
    SORGUM_INLINE void keep(index_t, V) const {}
};

template <RowOp op, class T>
SORGUM_NOINLINE void second_pass(const Rows<T>& r, index_t i, const ExpScale<T>& scale, const RowResult<T>& row) {
    const T* x = r.x + i * r.x_stride;
    T* y = r.y + i * r.y_stride;
    if constexpr (op == RowOp::softmax)
        softmax_scale_kernel(x, y, r.n, scale, row, r.empty, r.streaming);
    else if constexpr (op == RowOp::logsumexp_grad)
        logsumexp_grad_scale_kernel(x, y, r.n, scale, row, r.factors[i], r.streaming);
    else
        log_softmax_shift_kernel(x, y, r.n, scale, row, r.empty, r.streaming);
}

template <RowOp op, class T>
SORGUM_INLINE void long_rows(const Rows<T>& r, const ExpScale<T>& scale) {
    RowResult<T> before = {};
    SecondPass<op, T> side(r);
    for (index_t i = 0; i <= r.rows; ++i) {
        if (i > 0) {
            T value;
            if (scale.prescale == T(1) && !special_row(before, r.empty, value) &&
                !reference_of(scale, before.max).shifted)
                side.start(r, i - 1, scale, before);
            else
                second_pass<op>(r, i - 1, scale, before);
        }
        if (i < r.rows) {
            const T* x = r.x + i * r.x_stride;
            RowSum<T> sum;
            row_sum_clear(sum);
            sum_chunks(x, r.n, scale, sum, side);
            before = result_of(sum, scale, false);
            if constexpr (op == RowOp::log_softmax)
                refine(before, x, r.n, scale);
        }
        side.until(r.n);
    }
    if (r.streaming)
        stream_fence();
}

template <class T>
void softmax_long_rows_kernel(const Rows<T>& rows, const ExpScale<T>& scale) {
    long_rows<RowOp::softmax>(rows, scale);
}
template <class T>
void log_softmax_long_rows_kernel(const Rows<T>& rows, const ExpScale<T>& scale) {
    long_rows<RowOp::log_softmax>(rows, scale);
}
template <class T>
void logsumexp_grad_long_rows_kernel(const Rows<T>& rows, const ExpScale<T>& scale) {
    if constexpr (sizeof(T) == 4)
        return long_rows<RowOp::logsumexp_grad>(rows, scale);
    // One pass after the other, to save code, as in logsumexp_grad_rows.
    for (index_t i = 0; i < rows.rows; ++i) {
        RowSum<T> sum;
        row_sum_clear(sum);
        exp_sum_kernel(rows.x + i * rows.x_stride, rows.n, scale, sum);
        second_pass<RowOp::logsumexp_grad>(rows, i, scale, result_of(sum, scale, false));
    }
    if (rows.streaming)
        stream_fence();
}

SORGUM_ISA_END
