// exp by blocks of threads.
#pragma once

#include "cuda/common/group.h"
#include "math/exp.h"

SORGUM_ISA_BEGIN

inline constexpr int kPerThread = 8;  // elements of a thread, loaded before the first is used

// Block `block` of the grid: kPerThread elements for each thread, neighbours for neighbouring threads.
template <class G>
SORGUM_GROUP void exp_block(const G& g, const float* x, float* y, index_t n, index_t block) {
    const index_t begin = block * G::size * kPerThread;
    g.each([&](int t) {
        float e[kPerThread];
        SORGUM_UNROLL
        for (int k = 0; k < kPerThread; ++k) {
            const index_t i = begin + k * G::size + t;
            e[k] = i < n ? x[i] : 0.0f;
        }
        SORGUM_UNROLL
        for (int k = 0; k < kPerThread; ++k) {
            const index_t i = begin + k * G::size + t;
            if (i < n)
                y[i] = exp(e[k]);
        }
    });
}

SORGUM_ISA_END
