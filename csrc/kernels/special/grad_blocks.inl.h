// Products of rows of a few vectors, 16 at a time: a loop over the rows adds their products, another writes the
// results; between them, what is done once a row is done for 16 rows in lanes.
#pragma once

#include "kernels/special/grad_rows.inl.h"

SORGUM_ISA_BEGIN

// Rows from so many elements, shorter ones are transposed, to so many vectors, longer ones are taken in batches.
inline constexpr index_t kLeastGradBlock = 10, kMostGradVectors = 8;

// Rows of at most `vectors` vectors, the last of which may be shorter.
template <GradOp op, int vectors, bool divides, class T>
SORGUM_NOINLINE void grad_blocks(const GradRows<T>& r, double temperature) {
    using V = vec<T>;
    constexpr index_t last = (vectors - 1) * kLanes;
    const index_t left = r.n - last;
    GradBatch<op, T> b;
    GradSums<op, T> sums;
    for (double& t : b.temperature)
        t = temperature;
    b.set_temperatures(GradMap<op, T>(temperature));
    for (index_t first = 0; first < r.rows; first += kLanes) {
        b.rows = r.rows - first < kLanes ? r.rows - first : kLanes;
        const T *y = r.y + first * r.y_stride, *dy = r.dy + first * r.dy_stride;
        for (index_t i = 0; i < b.rows; ++i, y += r.y_stride, dy += r.dy_stride) {
            GradLanes<op, T> lanes[2];
#pragma GCC unroll 8
            for (int v = 0; v < vectors - 1; ++v)
                lanes[v % 2].add(load_f64(y + v * kLanes), load_f64(dy + v * kLanes));
            if (left == kLanes)
                lanes[(vectors - 1) % 2].add(load_f64(y + last), load_f64(dy + last));
            else
                lanes[(vectors - 1) % 2].add(to_f64(load_first(y + last, left, T(0))),
                                             to_f64(load_first(dy + last, left, T(0))));
            sums.set(i, lanes[0], lanes[1]);
        }
        if (r.temperatures != nullptr)
            set_temperatures(r, first, b);
        sums.totals(b);
        y = r.y + first * r.y_stride, dy = r.dy + first * r.dy_stride;
        T* dx = r.dx + first * r.dx_stride;
        for (index_t i = 0; i < b.rows; ++i, y += r.y_stride, dy += r.dy_stride, dx += r.dx_stride) {
            if (__builtin_expect(b.extreme[i], 0)) {
                extreme_row<op>(y, dy, dx, r.n, b.temperature[i]);
                continue;
            }
            const GradMap<op, T> map = b.map_of(i);
            if constexpr (vectors == 1) {
                if (left < kLanes) {
                    store_first(dx, map.template of<divides>(load_first(y, left, T(0)), load_first(dy, left, T(0))),
                                left);
                    continue;
                }
            }
            // The last vector repeats some of the one before; dx may be y or dy.
            const V last_y = load(y + r.n - kLanes), last_dy = load(dy + r.n - kLanes);
#pragma GCC unroll 8
            for (int v = 0; v < vectors - 1; ++v)
                store(dx + v * kLanes, map.template of<divides>(load(y + v * kLanes), load(dy + v * kLanes)));
            store(dx + r.n - kLanes, map.template of<divides>(last_y, last_dy));
        }
    }
}

template <GradOp op, int vectors, class T>
SORGUM_INLINE void grad_blocks(const GradRows<T>& r, double temperature) {
    if (r.n > vectors * kLanes)
        if constexpr (vectors < kMostGradVectors)
            return grad_blocks<op, vectors + 1>(r, temperature);
    if (r.temperatures == nullptr && temperature == 1.0)
        grad_blocks<op, vectors, false>(r, temperature);
    else
        grad_blocks<op, vectors, true>(r, temperature);
}

SORGUM_ISA_END
