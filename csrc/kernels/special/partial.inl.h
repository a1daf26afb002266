// How a second pass checks that a part of a row fits a sum that was formed elsewhere.
#pragma once

#include "kernels/common/elementwise.inl.h"
#include "kernels/special/softmax.h"

SORGUM_ISA_BEGIN

template <class T>
bool row_within_kernel(const T* x, index_t n, T bound) {
    using V = vec<T>;
    const V limit = splat<V>(bound);
    bool within = true;
    for (index_t i = 0; i < n; i += kLanes) {
        const V e = i + kLanes <= n ? load(x + i) : load_first(x + i, n - i, bound);
        within = within && all(eq(max(limit, e), limit));
    }
    return within;
}

SORGUM_ISA_END
