// Rows of a few vectors, 16 at a time: three loops over the rows find the maxima, form and sum the terms, and write the
// results; between them, what is done once a row is done for 16 rows in lanes.
#pragma once

#include "kernels/special/row_batches.inl.h"

SORGUM_ISA_BEGIN

// 16 rows of at most `vectors` vectors, the last of which may be shorter.
template <RowOp op, int vectors, class T>
struct RowBlock {
    using V = vec<T>;
    using D = f64x16;
    static constexpr index_t last = (vectors - 1) * kLanes;
    static constexpr index_t pitch = vectors * kLanes;

    Batch<T> b;
    V maxima[16], minus_minima[16], counts[16];
    D sums[16];
    alignas(64) T terms[scales_terms(op) ? 16 * pitch : 1];

    SORGUM_INLINE void sweep(const Rows<T>& r) {
        const T* x = r.x + b.first * r.x_stride;
        for (index_t i = 0; i < b.rows; ++i, x += r.x_stride) {
            V most = load(x + r.n - kLanes), least = most;  // repeats some of the vector before
#pragma GCC unroll 8
            for (int v = 0; v < vectors - 1; ++v) {
                const V e = load(x + v * kLanes);
                most = max(e, most);
                if constexpr (scales_terms(op))
                    least = min(e, least);
            }
            maxima[i] = most;
            if constexpr (scales_terms(op))
                minus_minima[i] = splat<V>(T(0)) - least;
        }
    }

    SORGUM_INLINE void sum(const Rows<T>& r) {
        const T infinity = from_bits(Format<T>::infinity);
        const T* x = r.x + b.first * r.x_stride;
        for (index_t i = 0; i < b.rows; ++i, x += r.x_stride) {
            const ExpMap<T> map = {T(0), T(0), b.lowest[i], b.magic[i]};
            Terms<false, T> of_row(map, b.c_hi[i], b.c_lo[i], b.max[i]);
            [[maybe_unused]] T* const w = terms + (scales_terms(op) ? i * pitch : 0);
            const auto element = [&](int v) SORGUM_LAMBDA {
                return v < vectors - 1 ? load(x + v * kLanes) : load_first(x + last, r.n - last, -infinity);
            };
            if constexpr (kIsPrecise<op, T>) {
                D total = of_row.wide_summand(element(0));
#pragma GCC unroll 8
                for (int v = 1; v < vectors; ++v)
                    total = total + of_row.wide_summand(element(v));
                sums[i] = total;
            } else {
                const auto term = [&](int v) SORGUM_LAMBDA {
                    const V e = element(v), value = of_row.value(e);
                    if constexpr (scales_terms(op))
                        store(w + v * kLanes, value);
                    return of_row.summand(e, value);
                };
                LaneSum<T> lanes;
                lanes.add(present_tree<vectors>(term, 0));
                sums[i] = lanes.lanes();
            }
            counts[i] = integer_to_float<V>(of_row.count);
        }
    }
    // The balanced tree of eight, of which `count` exist.
    template <int count, class F>
    static SORGUM_INLINE auto present_tree(F& term, int first) {
        if constexpr (count == 1) {
            return term(first);
        } else {
            constexpr int half = count > 4 ? 4 : count > 2 ? 2 : 1;
            const auto left = present_tree<half>(term, first);
            return left + present_tree<count - half>(term, first + half);
        }
    }

    SORGUM_INLINE void write(const Rows<T>& r, bool streaming, const ExpScale<T>& scale) {
        bool irregular = false;
        for (index_t i = 0; i < b.rows; ++i)
            irregular = irregular || b.irregular[i];
        if constexpr (op != RowOp::logsumexp) {
            T* const y = r.y + b.first * r.y_stride;
            alignas(64) T packed[kLanes * pitch];
            const bool past = streaming && b.rows == kLanes && !irregular;
            if (scales_terms(op) && b.subnormal)
                write_to<true>(r, past ? packed : y, past ? r.n : r.y_stride);
            else
                write_to<false>(r, past ? packed : y, past ? r.n : r.y_stride);
            for (index_t i = 0; past && i < kLanes * r.n; i += kLanes)
                stream(y + i, load(packed + i));
        }
        for (index_t i = 0; irregular && i < b.rows; ++i)
            if (b.irregular[i])
                single_row<op>(r, b.first + i, scale);
    }

    template <bool subnormal>
    SORGUM_INLINE void write_to(const Rows<T>& r, T* y, index_t stride) {
        const T* x = r.x + b.first * r.x_stride;
        for (index_t i = 0; i < b.rows; ++i, y += stride, x += r.x_stride) {
            if (b.irregular[i])
                continue;
            if constexpr (op == RowOp::log_softmax) {
                const LogShift<T> shift = shift_of(b, i);
                const V tail = load(x + r.n - kLanes);  // y may be x
#pragma GCC unroll 8
                for (int v = 0; v < vectors - 1; ++v)
                    store_shifted(y + v * kLanes, x + v * kLanes, shift);
                store(y + r.n - kLanes, shift(tail));
            } else {
                const T* const w = terms + i * pitch;
                const Scale<V> s = scale_of(b, i);
                Product<T> product;
                if constexpr (op == RowOp::logsumexp_grad)
                    product = Product<T>(r.factors[b.first + i]);
                const auto put = [&](index_t at) SORGUM_LAMBDA {
                    const V in = load(w + at);
                    V out = subnormal ? scale_subnormal(in, s) : scale_normal(in, s);
                    if constexpr (op == RowOp::logsumexp_grad)
                        out = product(out);
                    store(y + at, out);
                };
#pragma GCC unroll 8
                for (int v = 0; v < vectors - 1; ++v)
                    put(v * kLanes);
                put(r.n - kLanes);
            }
        }
    }
};

template <RowOp op, int vectors, class T>
SORGUM_NOINLINE void blocks_of_rows(const Rows<T>& r, const ExpScale<T>& scale) {
    RowBlock<op, vectors, T> block;
    Batch<T>& b = block.b;
    LaneScale<T> lane_scale(scale);
    set_scale(b, lane_scale);
    for (int i = 0; i < 16; ++i) {
        block.maxima[i] = block.minus_minima[i] = block.counts[i] = splat<vec<T>>(T(0));
        block.sums[i] = splat<f64x16>(0.0);
    }
    const bool contiguous = op != RowOp::logsumexp && r.y_stride == r.n;
    const bool streaming = r.streaming && contiguous && elements_to_boundary(r.y) == 0;
    for (b.first = 0; b.first < r.rows; b.first += kLanes) {
        b.rows = r.rows - b.first < kLanes ? r.rows - b.first : kLanes;
        if (r.streaming)
            for (index_t i = 0; i < r.n; ++i)
                prefetch_ahead(r.x + b.first * r.x_stride + i * kLanes);
        block.sweep(r);
        if (r.temperatures != nullptr) {
            lane_scale = LaneScale<T>(load_first(r.temperatures + b.first, b.rows, 1.0));
            set_scale(b, lane_scale);
        }
        map_batch<op>(b, block.maxima, block.minus_minima, lane_scale);
        block.sum(r);
        finish_batch<op, kIsPrecise<op, T>>(b, block.sums, block.counts, r, lane_scale);
        block.write(r, streaming, scale);
    }
    if (r.streaming)
        stream_fence();
}

// Rows of so many elements are neither transposed nor taken in batches. Shorter ones are transposed where a vector is
// one register: that is faster then (rows of 16 take 0.9 of the time, with AVX2 1.25).
template <RowOp op>
inline constexpr index_t kLeastBlockRow = kRegisters == 1 || op == RowOp::logsumexp ? 48
                                          : op == RowOp::log_softmax                ? 16
                                                                                    : 32;
inline constexpr index_t kMostBlockRow = 128;
// Fewer rows than these are not transposed, if they have a whole vector: 16 would be made of them.
inline constexpr index_t kFewRows = 10;
static_assert(kMostBlockRow < kShortRow);

template <RowOp op, class T>
SORGUM_INLINE void blocks_of_rows(const Rows<T>& r, const ExpScale<T>& scale) {
    if (r.n <= kLanes)
        return blocks_of_rows<op, 1>(r, scale);
    if (r.n <= 2 * kLanes)
        return blocks_of_rows<op, 2>(r, scale);
    if (r.n <= 3 * kLanes)
        return blocks_of_rows<op, 3>(r, scale);
    if (r.n <= 4 * kLanes)
        return blocks_of_rows<op, 4>(r, scale);
    if (r.n <= 5 * kLanes)
        return blocks_of_rows<op, 5>(r, scale);
    if (r.n <= 6 * kLanes)
        return blocks_of_rows<op, 6>(r, scale);
    if (r.n <= 7 * kLanes)
        return blocks_of_rows<op, 7>(r, scale);
    return blocks_of_rows<op, 8>(r, scale);
}

SORGUM_ISA_END
