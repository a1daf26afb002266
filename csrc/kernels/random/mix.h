// Weighted sums of rows of a table: the embedding of a soft token.
//
// computes  y[d] = the sum over j < k of weights[j] rows[j][first + d]
// source    Zhang et al. 2025, "Soft Thinking"
// shapes    rows of at least first + n contiguous elements; y, of n, does not overlap them
// order     j = 0, 1, ..., one multiply-add each, from 0: float64 for float32 and float64, float32 for the half types
// bound     float32: k 2^-53 of the sum of magnitudes, and half a unit in the last place; float64: k 2^-53 of it; the
//           half types: k 2^-24 of it, and half a unit
// special   a NaN result is the one of N10
// cost      k reads, one write per element
#pragma once

#include "core/types.h"

namespace sorgum::random {

template <class T>
struct MixSum {
    using type = double;
};
template <>
struct MixSum<float16> {
    using type = float;
};
template <>
struct MixSum<bfloat16> {
    using type = float;
};

template <class T>
using mix_fn = void(const T* const* rows, const typename MixSum<T>::type* weights, index_t k, index_t first, index_t n,
                    T* y);

}  // namespace sorgum::random
