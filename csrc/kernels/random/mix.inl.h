#pragma once

#include "kernels/random/mix.h"
#include "math/format.h"
#include "simd/simd.h"

SORGUM_ISA_BEGIN

using namespace sorgum::random;

SORGUM_INLINE f64x16 mix_terms(const float* x) { return widen(load(x)); }
SORGUM_INLINE f64x16 mix_terms(const double* x) { return load(x); }
SORGUM_INLINE f32x16 mix_terms(const float16* x) { return load_half(x); }
SORGUM_INLINE f32x16 mix_terms(const bfloat16* x) { return load_half(x); }

SORGUM_INLINE void mix_store(float* y, f64x16 sum) { store(y, canonicalise_nan(narrow(sum))); }
SORGUM_INLINE void mix_store(double* y, f64x16 sum) { store(y, canonicalise_nan(sum)); }
SORGUM_INLINE void mix_store(float16* y, f32x16 sum) { store_half(y, canonicalise_nan(sum)); }
SORGUM_INLINE void mix_store(bfloat16* y, f32x16 sum) { store_half(y, canonicalise_nan(sum)); }

template <class T>
void mix_kernel(const T* const* rows, const typename MixSum<T>::type* weights, index_t k, index_t first, index_t n,
                T* y) {
    using A = typename MixSum<T>::type;
    using V = vec<A>;
    constexpr index_t kTogether = 4;  // vectors: independent chains of multiply-adds
    index_t d = 0;
    for (; d + kTogether * kLanes <= n; d += kTogether * kLanes) {
        V sum[kTogether] = {splat<V>(A(0)), splat<V>(A(0)), splat<V>(A(0)), splat<V>(A(0))};
        for (index_t j = 0; j < k; ++j) {
            const V w = splat<V>(weights[j]);
            for (index_t v = 0; v < kTogether; ++v)
                sum[v] = fma(w, mix_terms(rows[j] + first + d + v * kLanes), sum[v]);
        }
        for (index_t v = 0; v < kTogether; ++v)
            mix_store(y + d + v * kLanes, sum[v]);
    }
    for (; d < n; d += kLanes) {
        const index_t here = n - d < kLanes ? n - d : kLanes;
        const std::size_t bytes = static_cast<std::size_t>(here) * sizeof(T);
        V sum = splat<V>(A(0));
        for (index_t j = 0; j < k; ++j) {
            T last[kLanes] = {};
            __builtin_memcpy(last, rows[j] + first + d, bytes);
            sum = fma(splat<V>(weights[j]), mix_terms(last), sum);
        }
        T result[kLanes];
        mix_store(result, sum);
        __builtin_memcpy(y + d, result, bytes);
    }
}

SORGUM_ISA_END
