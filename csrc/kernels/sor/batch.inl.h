#pragma once

#include "kernels/sor/batch.h"
#include "kernels/sor/blocks.inl.h"
#include "simd/simd.h"

SORGUM_ISA_BEGIN

using namespace sorgum::sor;

template <bool shared, class T>
SORGUM_INLINE vec<T> batch_value(const Batch<T>& a, index_t entry) {
    return shared ? splat<vec<T>>(a.values[entry]) : load(a.values + entry * kLanes);
}

template <class T>
SORGUM_INLINE vec<T> batch_x(const Batch<T>& a, index_t entry) {
    return load(a.x + static_cast<index_t>(a.columns[entry]) * kLanes);
}

template <bool shared, bool changes, class T>
SORGUM_INLINE void sweep_batch(const Batch<T>& a, const double* scale, double* change) {
    using V = vec<T>;
    const V omega = load(a.omega), minus = splat<V>(T(0)) - omega, rest = splat<V>(T(1)) - omega;
    f64x16 squares = splat<f64x16>(0.0);
    for (index_t i = 0; i < a.rows; ++i) {
        const BatchRow row = a.row[i];
        const index_t end = a.row[i + 1].begin;
        V s = splat<V>(T(0));
        for (index_t k = row.begin; k < row.inner; ++k)
            s = fma(batch_value<shared>(a, k), batch_x(a, k), s);
        for (index_t k = row.right; k < end; ++k)
            s = fma(batch_value<shared>(a, k), batch_x(a, k), s);
        const V inverse = load(a.inverse + i * kLanes), before = load(a.x + i * kLanes);
        V c = fma(omega * inverse, load(a.b + i * kLanes) - s, rest * before);
        for (index_t k = row.inner; k < row.right; ++k)
            c = fma(minus * (batch_value<shared>(a, k) * inverse), batch_x(a, k), c);
        store(a.x + i * kLanes, c);
        if (changes) {
            const f64x16 t = (wide(load(a.diagonal + i * kLanes)) * wide(c - before)) * load(scale);
            squares = fma(t, t, squares);
        }
    }
    if (changes)
        store(change, squares);
}

template <class T>
void batch_sweep_kernel(const Batch<T>& a, const double* scale, double* change) {
    if (a.shared && change == nullptr)
        sweep_batch<true, false>(a, scale, change);
    else if (a.shared)
        sweep_batch<true, true>(a, scale, change);
    else if (change == nullptr)
        sweep_batch<false, false>(a, scale, change);
    else
        sweep_batch<false, true>(a, scale, change);
}

template <bool shared, class T>
SORGUM_INLINE f64x16 batch_squares(const Batch<T>& a, const double* scale) {
    f64x16 squares = splat<f64x16>(0.0);
    const f64x16 by = load(scale);
    for (index_t i = 0; i < a.rows; ++i) {
        const BatchRow row = a.row[i];
        const index_t end = a.row[i + 1].begin;
        f64x16 s = splat<f64x16>(0.0);
        for (index_t k = row.begin; k < row.right; ++k)
            s = fma(wide(batch_value<shared>(a, k)), wide(batch_x(a, k)), s);
        s = fma(wide(load(a.diagonal + i * kLanes)), wide(load(a.x + i * kLanes)), s);
        for (index_t k = row.right; k < end; ++k)
            s = fma(wide(batch_value<shared>(a, k)), wide(batch_x(a, k)), s);
        const f64x16 t = (wide(load(a.b + i * kLanes)) - s) * by;
        squares = fma(t, t, squares);
    }
    return squares;
}

template <class T>
void batch_residual_kernel(const Batch<T>& a, const double* scale, double* squares) {
    store(squares, a.shared ? batch_squares<true>(a, scale) : batch_squares<false>(a, scale));
}

SORGUM_ISA_END
