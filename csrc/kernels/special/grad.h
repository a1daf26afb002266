// Kernels of the vector-Jacobian products of softmax and log_softmax.
//
// computes  softmax_grad: dx = (dy - sum(y dy)) y / T; log_softmax_grad: dx = (dy - exp(y) sum(dy)) / T, where y is the
//           function's result
// source    differentiation of the definitions
// shapes    contiguous within a row; dx may be y or dy
// order     chunks of kChunk elements; in a chunk, vectors are added to two sums alternately, products unrounded; the
//           two are added lane by lane and folded by halves; chunks are added in order, with compensation
// bound     the sum in float64, with its rounding errors for float64; then four roundings, besides exp's own; see
//           docs/numerics/special.md
// special   a row whose sum is not finite is NaN throughout
// cost      two reads of each input and one write; of rows of at most one chunk the second reads come from the caches
#pragma once

#include "core/types.h"

namespace sorgum::special {

// The number high + low, where high is the float64 nearest to it.
struct SumPair {
    double high, low;
};

// The sums of the chunks of a part of a row; the part starts at a chunk's border.
template <class T>
using softmax_grad_sum_fn = void(const T* y, const T* dy, index_t n, SumPair* chunks);
template <class T>
using log_softmax_grad_sum_fn = softmax_grad_sum_fn<T>;

// The sum of a row from those of its chunks, at least one.
template <class T>
using grad_total_fn = SumPair(const SumPair* chunks, index_t count);

template <class T>
using softmax_grad_write_fn = void(const T* y, const T* dy, T* dx, index_t n, SumPair total, double temperature,
                                   bool streaming);
template <class T>
using log_softmax_grad_write_fn = softmax_grad_write_fn<T>;

// Whole rows, n > 0, strides in elements.
template <class T>
struct GradRows {
    const T* y;
    const T* dy;
    T* dx;
    index_t rows, n, y_stride, dy_stride, dx_stride;
    bool streaming;
    const double* temperatures = nullptr;  // one per row, instead of the call's
};
template <class T>
using softmax_grad_rows_fn = void(const GradRows<T>& rows, double temperature);
template <class T>
using log_softmax_grad_rows_fn = softmax_grad_rows_fn<T>;

}  // namespace sorgum::special
