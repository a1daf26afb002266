// Kernels for rows that lie side by side in memory, as along any axis but the last: gather makes each contiguous,
// scatter puts them back.
//
// computes  gather: y[r * pitch + i] = x[i * stride + r];
//           scatter: x[i * stride + r] = y[r * pitch + i], for r < rows, i < n;
//           both: halves are float32 in y, converted as by widen and narrow (half.h)
// source    transposes of 16 x 16 in registers (simd/README.md), of 8 x 8 bytes in integers (Warren 2013, "Hacker's
//           Delight", section 7-3)
// shapes    elements of a row at any distance, which may be negative; x and y do not overlap
// order     elementwise
// bound     exact, but for the rounding to halves
// special   float32, float64 and bool keep every bit, those of a signalling NaN too; halves as in half.h
// cost      one read and one write per element; each cache line of x is touched once if the `rows` elements from
//           x[i * stride] on fill whole lines, for every i
#pragma once

#include "core/types.h"

namespace sorgum::common {

// The type of y for a type of x.
template <class T>
using gathered_t = computed_t<T>;

// Lines are prefetched this many elements ahead. Each lies in a page of its own, so no processor does it by itself.
inline constexpr index_t kGatherAhead = 32;

template <class T>
using gather_fn = void(const T* x, index_t stride, gathered_t<T>* y, index_t pitch, index_t rows, index_t n);

// `streaming`: whole cache lines are written past the caches; the kernel ends with a fence then.
template <class T>
using scatter_fn = void(T* x, index_t stride, const gathered_t<T>* y, index_t pitch, index_t rows, index_t n,
                        bool streaming);

}  // namespace sorgum::common
