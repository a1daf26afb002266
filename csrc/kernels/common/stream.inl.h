#pragma once

#include "kernels/common/elementwise.inl.h"
#include "kernels/common/stream.h"

SORGUM_ISA_BEGIN

using namespace sorgum::common;

template <class T>
T read_kernel(const T* x, index_t n) {
    using V = vec<T>;
    V sums[kReadSums];
    for (int v = 0; v < kReadSums; ++v)
        sums[v] = splat<V>(T(0));
    index_t i = 0;
    for (; i + kReadSums * kLanes <= n; i += kReadSums * kLanes) {
#pragma GCC unroll 8
        for (int v = 0; v < kReadSums; ++v) {
            prefetch_ahead(x + i, v);
            sums[v] = sums[v] + load(x + i + v * kLanes);
        }
    }
    for (; i < n; i += kLanes)
        sums[0] = sums[0] + load_first(x + i, n - i, T(0));
    for (int v = 1; v < kReadSums; ++v)
        sums[0] = sums[0] + sums[v];
    return fold_sum(sums[0]);
}

template <class T>
void copy_kernel(const T* x, T* y, index_t n) {
    const index_t head = elements_to_boundary(y);
    if (head < 0 || n < kLanes) {
        map_elements(x, y, n, false, [](vec<T> v) SORGUM_LAMBDA { return v; });
        return;
    }
    store_first(y, load_first(x, head, T(0)), head);
    index_t i = head;
    for (; i + kLanes <= n; i += kLanes) {
        for (unsigned line = 0; line < kLanes * sizeof(T); line += 64)
            prefetch(reinterpret_cast<const char*>(x + i) + kCopyAheadBytes + line);
        stream(y + i, load(x + i));
    }
    store_first(y + i, load_first(x + i, n - i, T(0)), n - i);
    stream_fence();
}

// Each chain starts with another number, or the compiler would compute one for all. All tend to 1.
template <int chains, class T>
SORGUM_INLINE T run_chains(index_t iterations) {
    using V = vec<T>;
    V value[chains];
    for (int c = 0; c < chains; ++c)
        value[c] = splat<V>(T(c));
    const V half = splat<V>(T(0.5));
    for (index_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
        for (int c = 0; c < chains; ++c)
            value[c] = fma(value[c], half, half);
    }
    for (int c = 1; c < chains; ++c)
        value[0] = value[0] + value[c];
    return fold_sum(value[0]);
}

template <class T>
T fma_chains_kernel(index_t iterations, bool many) {
    return many ? run_chains<kManyChains, T>(iterations) : run_chains<kFewChains, T>(iterations);
}

SORGUM_ISA_END
