#pragma once

#include "kernels/common/elementwise.inl.h"
#include "kernels/common/half.h"

SORGUM_ISA_BEGIN

using namespace sorgum::common;

template <class H>
void widen_kernel(const H* x, float* y, index_t n) {
    index_t i = 0;
    for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
        prefetch_ahead(x + i);
        store(y + i, load_half(x + i));
        store(y + i + kLanes, load_half(x + i + kLanes));
    }
    for (; i + kLanes <= n; i += kLanes)
        store(y + i, load_half(x + i));
    if (i < n) {
        H last[kLanes] = {};
        __builtin_memcpy(last, x + i, static_cast<std::size_t>(n - i) * sizeof(H));
        store_first(y + i, load_half(last), n - i);
    }
}

template <class H>
SORGUM_INLINE void narrow_some(const float* x, H* y, index_t n) {
    index_t i = 0;
    for (; i + kLanes <= n; i += kLanes)
        store_half(y + i, load(x + i));
    if (i < n) {
        H last[kLanes];
        store_half(last, load_first(x + i, n - i, 0.0f));
        __builtin_memcpy(y + i, last, static_cast<std::size_t>(n - i) * sizeof(H));
    }
}

template <class H>
void narrow_kernel(const float* x, H* y, index_t n, bool streaming) {
    const index_t head = elements_to_boundary(y);
    if (!streaming || head < 0 || n < 4 * kLanes)
        return narrow_some(x, y, n);
    narrow_some(x, y, head);
    index_t i = head;
    for (; i + 2 * kLanes <= n; i += 2 * kLanes)
        stream_half(y + i, load(x + i), load(x + i + kLanes));
    narrow_some(x + i, y + i, n - i);
    stream_fence();
}

SORGUM_ISA_END
