// Walks over contiguous elements, one vector at a time.
#pragma once

#include "simd/simd.h"

SORGUM_ISA_BEGIN

// 4 KB ahead: far enough for the memory's latency, near enough to stay in L1.
inline constexpr index_t kPrefetchBytes = 4096;

template <class T>
SORGUM_INLINE void prefetch_ahead(const T* x) {
    const char* p = reinterpret_cast<const char*>(x) + kPrefetchBytes;
    for (unsigned line = 0; line < kLanes * sizeof(T); line += 64)
        prefetch(p + line);
}

// The number of elements before y reaches a 64-byte boundary; -1 when it never does.
template <class T>
SORGUM_INLINE index_t elements_to_boundary(const T* y) {
    const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(y);
    if (address % sizeof(T) != 0)
        return -1;
    return static_cast<index_t>(((64 - address % 64) % 64) / sizeof(T));
}

// y[i] = f(x[i]) for f on vectors. `streaming` writes past the caches; the caller ends with one stream_fence().
template <class T, class F>
SORGUM_INLINE void map_elements(const T* x, T* y, index_t n, bool streaming, F&& f) {
    index_t i = 0;
    const index_t head = elements_to_boundary(y);
    if (streaming && head >= 0 && n >= 4 * kLanes) {
        if (head > 0)
            store_first(y, f(load_first(x, head, T(0))), head);
        for (i = head; i + 4 * kLanes <= n; i += 4 * kLanes) {
#pragma GCC unroll 4
            for (int v = 0; v < 4; ++v) {
                prefetch_ahead(x + i + v * kLanes);
                stream(y + i + v * kLanes, f(load(x + i + v * kLanes)));
            }
        }
    } else {
        for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
#pragma GCC unroll 4
            for (int v = 0; v < 4; ++v) {
                prefetch_ahead(x + i + v * kLanes);
                store(y + i + v * kLanes, f(load(x + i + v * kLanes)));
            }
        }
    }
    for (; i < n; i += kLanes)
        store_first(y + i, f(load_first(x + i, n - i, T(0))), n - i);
}

SORGUM_ISA_END
