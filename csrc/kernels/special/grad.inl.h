#pragma once

#include "kernels/common/elementwise.inl.h"
#include "kernels/special/extexp_sum.inl.h"
#include "kernels/special/grad.h"
#include "math/exp.h"
#include "math/operation_state.h"
#include "math/softmax_scale.h"

SORGUM_ISA_BEGIN

using namespace sorgum::special;

using GradOp = special::Op;  // softmax_grad or log_softmax_grad

// Sums in lanes of y dy (softmax) or dy (log_softmax), the products unrounded.
template <GradOp op, class T>
struct GradLanes;

template <GradOp op>
struct GradLanes<op, float> {
    f64x16 sum = splat<f64x16>(0.0);
    SORGUM_INLINE void add(f64x16 y, f64x16 dy) {
        if constexpr (op == GradOp::softmax_grad)
            sum = fma(y, dy, sum);
        else
            sum = sum + dy;
    }
    static SORGUM_INLINE SumPair fold(const GradLanes& a, const GradLanes& b) { return {fold_sum(a.sum + b.sum), 0.0}; }
};

template <GradOp op>
struct GradLanes<op, double> {
    LaneSum<double> lanes;
    SORGUM_INLINE void add(f64x16 y, f64x16 dy) {
        if constexpr (op == GradOp::softmax_grad) {
            const f64x16 product = y * dy;
            lanes.add(product);
            lanes.error = lanes.error + fma(y, dy, splat<f64x16>(0.0) - product);
        } else {
            lanes.add(dy);
        }
    }
    static SORGUM_INLINE SumPair fold(const GradLanes& a, const GradLanes& b) {
        return {fold_sum(a.lanes.sum + b.lanes.sum), fold_sum(a.lanes.error + b.lanes.error)};
    }
};

// Vectors that share the work of finding what to prefetch: four lines of memory.
template <class T>
inline constexpr int kGradGroup = 16 / static_cast<int>(sizeof(T));

template <GradOp op, class T>
SORGUM_INLINE SumPair grad_chunk(const T* y, const T* dy, index_t n) {
    GradLanes<op, T> lanes[2];
    index_t i = 0;
    for (; i + kGradGroup<T> * kLanes <= n; i += kGradGroup<T> * kLanes) {
#pragma GCC unroll 4
        for (int v = 0; v < kGradGroup<T>; ++v) {
            const index_t at = i + v * kLanes;
            prefetch_ahead(dy + i, v);
            if constexpr (op == GradOp::softmax_grad)
                prefetch_ahead(y + i, v);
            lanes[v % 2].add(load_f64(y + at), load_f64(dy + at));
        }
    }
    for (; i < n; i += 2 * kLanes) {  // what lies beyond the end adds nothing
#pragma GCC unroll 2
        for (int v = 0; v < 2; ++v) {
            const index_t at = i + v * kLanes;
            lanes[v].add(to_f64(load_first(y + at, n - at, T(0))), to_f64(load_first(dy + at, n - at, T(0))));
        }
    }
    return GradLanes<op, T>::fold(lanes[0], lanes[1]);
}

// Sums of chunks are added in order, with Knuth's two-sum.
SORGUM_INLINE SumPair add_chunk(SumPair before, SumPair chunk) {
    const double sum = before.high + chunk.high, added = sum - before.high;
    const double lost = ((before.high - (sum - added)) + (chunk.high - added)) + chunk.low;
    return {sum, before.low + lost};
}

// What the last step takes for the sum: a row whose sum is not finite is NaN throughout.
SORGUM_INLINE SumPair total_of(SumPair sum) {
    const double total = sum.high + sum.low;
    if (!(total - total == 0.0))
        return {__builtin_nan(""), __builtin_nan("")};
    return {total, (sum.high - total) + sum.low};
}

// A number as a pair of the type: with the sum and 1 / T as pairs nothing is lost where dy and the sum cancel.
template <class V>
SORGUM_INLINE V rest_of(f64x16 high, f64x16 low, V nearest) {
    return from_f64<V>((high - to_f64(nearest)) + low);
}

// A power of two by which 1 / T, where it is more than 2, becomes 1 to 2. What is divided by T is multiplied by it
// first: a product that is subnormal loses digits, which the division would bring back.
SORGUM_INLINE double up_of(double temperature) {
    const index_t exponent = ((bits(temperature) >> 52) & 0x7FF) - 1023;  // T is normal
    return exponent < -1 ? power_of_two_f64(-1 - exponent) : 1.0;
}

// The last step, in the type itself. All sums are finite, and so are all dy: of finite numbers whose product overflows
// there is no NaN unless it is divided by T as a pair.
template <GradOp op, class T>
struct GradMap {
    using V = vec<T>;
    V high, low, inverse, inverse_low, up;
    bool divides = true;  // T is not 1
    GradMap() = default;
    explicit SORGUM_INLINE GradMap(double temperature) : divides(temperature != 1.0) {
        const double power = up_of(temperature), t = temperature * power;
        const double reciprocal = 1.0 / t;
        const double rest = __builtin_fma(0.0 - reciprocal, t, 1.0) / t;
        split(inverse, inverse_low, {reciprocal, rest});
        up = splat<V>(static_cast<T>(power));
    }
    SORGUM_INLINE GradMap(SumPair total, double temperature) : GradMap(temperature) {
        V nearest, rest;
        split(nearest, rest, total);
        set_sum(nearest, rest);
    }
    static SORGUM_INLINE void split(V& nearest, V& rest, SumPair value) {
        nearest = splat<V>(static_cast<T>(value.high));
        rest = rest_of(splat<f64x16>(value.high), splat<f64x16>(value.low), nearest);
    }
    SORGUM_INLINE void set_sum(V nearest, V rest) {
        constexpr bool scales = op == GradOp::log_softmax_grad;  // the sum, instead of every element
        high = scales ? nearest * up : nearest;
        low = scales ? rest * up : rest;
    }
    // `divides_` stands for `divides`, as a constant.
    template <bool divides_>
    SORGUM_INLINE V of(V y, V dy) const {
        const auto divided = [&](V d) SORGUM_LAMBDA { return canonicalise_nan(fma(d, inverse, d * inverse_low)); };
        if constexpr (op == GradOp::softmax_grad) {
            const V distance = (dy - high) - low;
            return divides_ ? divided(distance * (y * up)) : distance * y;
        } else {
            const auto difference = [&](V p) SORGUM_LAMBDA {
                const V minus_p = splat<V>(T(0)) - p;
                return fma(minus_p, low, fma(minus_p, high, divides_ ? dy * up : dy));
            };
            if (__builtin_expect(all(has_normal_exp(y)), 1)) {
                const V d = difference(exp_normal(y));
                return divides_ ? divided(d) : d;
            }
            const V d = difference(exp(y));
            return divides_ ? divided(d) : canonicalise_nan(d);
        }
    }
    SORGUM_INLINE V operator()(V y, V dy) const { return divides ? of<true>(y, dy) : of<false>(y, dy); }
};

// ---- extremes ----
//
// Within these limits no difference dy - sum leaves the range of the type, the sum is a pair of numbers with all their
// digits unless T >= 1/2 needs none of them, and 1 / T is a pair of normal numbers. What lies beyond takes another last
// step, in float64 and with a division, a vector at a time, and so does a sum that is no number. (A float64 sum has no
// more digits there.)
template <class T>
SORGUM_INLINE bool is_extreme_sum(double sum, double temperature) {
    constexpr double limit = sizeof(T) == 4 ? 0x1p102 : 0x1p969;
    const double size = sum < 0.0 ? -sum : sum;
    return !(size < limit) || (sizeof(T) == 4 && size * limit < 1.0 && size > 0.0 && temperature < 0.5);
}
template <class T>
SORGUM_INLINE bool is_extreme_temperature(double temperature) {
    return temperature < 0x1p-20 || temperature > (sizeof(T) == 4 ? 0x1p100 : 0x1p900);
}

template <GradOp op, class T>
SORGUM_NOINLINE void write_extreme(const T* y, const T* dy, T* dx, index_t n, SumPair total, double temperature) {
    using D = f64x16;
    const bool quarters = sizeof(T) == 8 && is_extreme_sum<T>(total.high, temperature);
    const D scale = splat<D>(quarters ? 0.25 : 1.0), back = splat<D>(quarters ? 4.0 : 1.0);
    const D high = splat<D>(total.high) * scale, low = splat<D>(total.low) * scale, t = splat<D>(temperature);
    const D zero = splat<D>(0.0), up = splat<D>(up_of(temperature)), t_up = t * up, small = splat<D>(0x1p-900);
    for (index_t i = 0; i < n; i += kLanes) {
        const vec<T> of_y = load_first(y + i, n - i, T(0));
        const D g = to_f64(load_first(dy + i, n - i, T(0))) * scale;
        // Times `up` only where that is needed: elsewhere it might overflow.
        D d, d_up, largest;  // of the numbers that `up` multiplies and that are added
        if constexpr (op == GradOp::softmax_grad) {
            const D distance = (g - high) - low, p = to_f64(of_y);
            largest = d = distance * p;
            d_up = distance * (p * up);
        } else {
            const D minus_p = zero - to_f64(exp(of_y)), p_up = minus_p * up;
            d = fma(minus_p, low, fma(minus_p, high, g));
            d_up = fma(p_up, low, fma(p_up, high, g * up));
            largest = max(max(d, zero - d), max(g, zero - g));
        }
        const D quotient = select(lt(max(largest, zero - largest), small), d_up / t_up, d / t);
        store_first(dx + i, canonicalise_nan(from_f64<vec<T>>(quotient * back)), n - i);
    }
}

template <GradOp op, class T>
SORGUM_NOINLINE void extreme_row(const T* y, const T* dy, T* dx, index_t n, double temperature) {
    SumPair total = {0.0, 0.0};
    for (index_t i = 0; i < n; i += kChunk) {
        const SumPair chunk = grad_chunk<op>(y + i, dy + i, n - i < kChunk ? n - i : kChunk);
        total = i == 0 ? chunk : add_chunk(total, chunk);
    }
    write_extreme<op>(y, dy, dx, n, total_of(total), temperature);
}

// dx[i] = f(y[i], dy[i]); see map_elements. `fetch`: y and dy are not in the cache any more.
template <bool fetch, class T, class F>
SORGUM_INLINE void map_pairs(const T* y, const T* dy, T* dx, index_t n, bool streaming, const F& f) {
    const auto part = [&](index_t i, index_t count) SORGUM_LAMBDA {
        store_first(dx + i, f(load_first(y + i, count, T(0)), load_first(dy + i, count, T(0))), count);
    };
    const index_t head = elements_to_boundary(dx);
    const bool past = streaming && head >= 0 && n >= 4 * kLanes;
    index_t i = 0;
    if (past && head > 0) {
        part(0, head);
        i = head;
    }
    for (; i + kGradGroup<T> * kLanes <= n; i += kGradGroup<T> * kLanes) {
#pragma GCC unroll 4
        for (int v = 0; v < kGradGroup<T>; ++v) {
            const index_t at = i + v * kLanes;
            if constexpr (fetch) {
                prefetch_ahead(y + i, v);
                prefetch_ahead(dy + i, v);
            }
            const vec<T> out = f(load(y + at), load(dy + at));
            if (past)
                stream(dx + at, out);
            else
                store(dx + at, out);
        }
    }
    for (; i < n; i += kLanes)
        part(i, n - i < kLanes ? n - i : kLanes);
}

template <GradOp op, class T>
SORGUM_INLINE void grad_sum(const T* y, const T* dy, index_t n, SumPair* chunks) {
    for (index_t i = 0; i < n; i += kChunk)
        *chunks++ = grad_chunk<op>(y + i, dy + i, n - i < kChunk ? n - i : kChunk);
}

template <GradOp op, class T>
SORGUM_INLINE void grad_write(const T* y, const T* dy, T* dx, index_t n, SumPair total, double temperature,
                              bool streaming) {
    if (is_extreme_temperature<T>(temperature) || is_extreme_sum<T>(total.high, temperature))
        return write_extreme<op>(y, dy, dx, n, total, temperature);
    map_pairs<true>(y, dy, dx, n, streaming, GradMap<op, T>(total, temperature));
    if (streaming)
        stream_fence();
}

template <class T>
void softmax_grad_sum_kernel(const T* y, const T* dy, index_t n, SumPair* chunks) {
    grad_sum<GradOp::softmax_grad>(y, dy, n, chunks);
}
template <class T>
void log_softmax_grad_sum_kernel(const T* y, const T* dy, index_t n, SumPair* chunks) {
    grad_sum<GradOp::log_softmax_grad>(y, dy, n, chunks);
}
template <class T>
SumPair grad_total_kernel(const SumPair* chunks, index_t count) {
    SumPair sum = chunks[0];
    for (index_t c = 1; c < count; ++c)
        sum = add_chunk(sum, chunks[c]);
    return total_of(sum);
}
template <class T>
void softmax_grad_write_kernel(const T* y, const T* dy, T* dx, index_t n, SumPair total, double temperature,
                               bool streaming) {
    grad_write<GradOp::softmax_grad>(y, dy, dx, n, total, temperature, streaming);
}
template <class T>
void log_softmax_grad_write_kernel(const T* y, const T* dy, T* dx, index_t n, SumPair total, double temperature,
                                   bool streaming) {
    grad_write<GradOp::log_softmax_grad>(y, dy, dx, n, total, temperature, streaming);
}

SORGUM_ISA_END
