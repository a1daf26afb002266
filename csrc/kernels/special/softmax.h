// Kernels of softmax, log_softmax and logsumexp.
//
// computes  exp_sum: what a contiguous part of a row adds to its sum of exp(x / T)
//           softmax_scale, log_softmax_shift: the second pass over a contiguous part of a row
//           softmax_rows, log_softmax_rows, logsumexp_rows: whole rows of at most kChunk elements, many at a time
//           logsumexp_grad_scale, logsumexp_grad_rows, logsumexp_grad_long_rows: softmax times a factor per row, dy / T
//           softmax_columns, log_softmax_columns, logsumexp_columns: the same for rows that lie side by side
// source    Dukhan and Ablavatski 2020, "Two-Pass Softmax Algorithm"; deviations in math/extexp.h
// shapes    x, y contiguous within a row; y may be x; y a multiple of the element size away from any alignment
// order     chunks of kChunk elements from the row's start; in a chunk element j goes to lane j mod 16 and vector
//           j / 16; eight consecutive vectors are added as a balanced tree; the trees' sums are added in sequence, in
//           float64 lanes (for float64 as pairs with compensation); lanes are folded by halves. Elements equal to the
//           chunk's maximum are counted instead of added. Chunks are combined exactly (math/exact_sum.h). log_softmax
//           of short or peaked rows of float32: all vectors of a chunk are added in sequence, in float64 lanes
// bound     softmax 4 ULP, log_softmax 2 ULP of max(|x - m|, |log S|), see docs/numerics/special.md
// special   NaN in a row: all NaN. +inf: NaN, logsumexp +inf. No element but -inf: `empty`, logsumexp -inf
// cost      two reads and one write per element in two passes; in rows of one chunk one exp, else two
#pragma once

#include "math/softmax_state.h"

namespace sorgum::special {

// What kernels need to know of a temperature, positive and finite.
template <class T>
using exp_scale_fn = void(double temperature, ExpScale<T>& scale);

template <class T>
using row_clear_fn = void(RowSum<T>& row);

// Adds a contiguous part of a row, which starts on a chunk border.
template <class T>
using exp_sum_fn = void(const T* x, index_t n, const ExpScale<T>& scale, RowSum<T>& row);

template <class T>
using row_merge_fn = void(RowSum<T>& into, const ExpScale<T>& scale, const RowSum<T>& from);

// What the second pass needs to know of a row, from its sum. `subtract_max`: the sum comes from max_sum.
template <class T>
using row_result_fn = void(const RowSum<T>& row, const ExpScale<T>& scale, bool subtract_max, RowResult<T>& result);

template <class T>
using softmax_scale_fn = void(const T* x, T* y, index_t n, const ExpScale<T>& scale, const RowResult<T>& row, T empty,
                              bool streaming);
template <class T>
using log_softmax_shift_fn = softmax_scale_fn<T>;
template <class T>
using logsumexp_grad_scale_fn = void(const T* x, T* y, index_t n, const ExpScale<T>& scale, const RowResult<T>& row,
                                     double factor, bool streaming);

// log_softmax of few or peaked elements needs their sum more precisely. Of rows of less than kShortRow elements, and of
// longer ones below an excess of kPreciseBelow (log S a little above 1), the terms are less rounded and added in
// float64. precise_sum adds a part of the row to `sum`, which row_clear has cleared; precise_result then sets the row's
// log_excess. From kShortRow elements on a second sum of the peaked rows takes less time than such a sum of all.
inline constexpr index_t kShortRow = 256;
template <class T>
inline constexpr double kPreciseBelow = sizeof(T) == 4 ? 1.75 : 0.0;  // float64: never
template <class T>
constexpr bool needs_precision(const RowResult<T>& row, index_t length) {
    return kPreciseBelow<T> > 0 && !row.has_nan && !row.has_inf && row.count > 0 &&
           (length < kShortRow || row.excess < kPreciseBelow<T>);
}
template <class T>
using precise_sum_fn = void(const T* x, index_t n, const ExpScale<T>& scale, const RowResult<T>& row, RowSum<T>& sum);
template <class T>
using precise_result_fn = void(const RowSum<T>& sum, RowResult<T>& row);

// Rows of n <= kChunk elements, strides in elements. For logsumexp_rows y has one element per row.
template <class T>
struct Rows {
    const T* x;
    T* y;
    index_t rows, n, x_stride, y_stride;
    T empty;
    bool streaming;
    T* terms = nullptr;               // of softmax_long_rows and logsumexp_grad_long_rows
    const double* factors = nullptr;  // of logsumexp_grad, one per row
    // Two arrays of two bytes per element that are prefetched while a batch is summed: the halves that the rows of a
    // later call are converted from, and the place of those that this call's results are converted to.
    const char* fetch[2] = {nullptr, nullptr};
    const double* temperatures = nullptr;  // one per row, instead of that of the ExpScale
};
template <class T>
using softmax_rows_fn = void(const Rows<T>& rows, const ExpScale<T>& scale);
template <class T>
using log_softmax_rows_fn = softmax_rows_fn<T>;
template <class T>
using logsumexp_rows_fn = softmax_rows_fn<T>;
template <class T>
using logsumexp_grad_rows_fn = softmax_rows_fn<T>;

// Whether no element is NaN or above `bound`: what holds for every part of a row whose maximum is `bound`.
template <class T>
using row_within_fn = bool(const T* x, index_t n, T bound);

// y[i] = x[i] where the byte of `mask` is not zero, else -inf.
template <class T>
using masked_copy_fn = void(const T* x, const bool* mask, T* y, index_t n);

// Rows side by side: element j of row i is x[j x_along + i], n from 1 to kChunk. For logsumexp y has one element per
// row.
template <class T>
struct Columns {
    const T* x;
    T* y;
    index_t columns, n, x_along, y_along;
    T empty;
    bool streaming;
    T* scratch;  // 64-byte aligned; n elements for each of kBlockColumns<T> columns
};
// A block is four cache lines wide: even one with kChunk elements per column stays in the second-level cache.
template <class T>
inline constexpr index_t kBlockColumns = 256 / static_cast<index_t>(sizeof(T));
template <class T>
using softmax_columns_fn = void(const Columns<T>& columns, const ExpScale<T>& scale);
template <class T>
using log_softmax_columns_fn = softmax_columns_fn<T>;
template <class T>
using logsumexp_columns_fn = softmax_columns_fn<T>;

// Rows of more than kChunk elements, whole, one after the other. softmax keeps a row's terms: `terms`
// is 64-byte aligned and has a place for n <= kMostKept elements, n rounded up to a multiple of 16.
inline constexpr index_t kMostKept = index_t(1) << 18;
template <class T>
using softmax_long_rows_fn = softmax_rows_fn<T>;
template <class T>
using log_softmax_long_rows_fn = softmax_rows_fn<T>;
template <class T>
using logsumexp_grad_long_rows_fn = softmax_rows_fn<T>;

// The three-pass algorithms, for comparison: the row's maximum, the sum of exp((x - max) / T) with the terms kept in
// `terms` unless that is null, and (for kept terms; else softmax_scale) the scaling. Bound: see
// docs/numerics/special.md.
template <class T>
using row_max_fn = T(const T* x, index_t n);
template <class T>
using max_sum_fn = void(const T* x, T* terms, index_t n, const ExpScale<T>& scale, T max, RowSum<T>& row);
template <class T>
using terms_scale_fn = void(T* terms, index_t n, const RowResult<T>& row, T empty, bool streaming);

// logsumexp with weights of any size: sums b exp(x / T), where x is -inf wherever b is 0. All terms go to `others`.
template <class T>
using weighted_sum_fn = void(const T* x, const T* b, index_t n, const ExpScale<T>& scale, RowSum<T>& row);
template <class T>
using weighted_result_fn = void(const RowSum<T>& row, const ExpScale<T>& scale, double& log_abs, double& sign);

}  // namespace sorgum::special
