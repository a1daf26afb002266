// Kernels that bring the operands of a product into the order in which tiles read them.
//
// computes  pack: y[j / 16 * step + i * pitch + j % 16] = x[i * stride + j];
//           pack_transposed: y[i / 16 * step + j * pitch + i % 16] = x[i * stride + j], for i < rows, j < n; both widen
//           to the type that is computed in, and write zeros in y to whole vectors of 16: pack for j >= n,
//           pack_transposed for i >= rows
// source    Goto and van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication", section 4.2; transposes of
//           16 x 16 in registers (simd/README.md)
// shapes    the stride in elements, of any sign; with a step of 16, y has rows, at a distance of pitch; with a pitch of
//           16, panels at a distance of step; x and y do not overlap
// order     elementwise
// bound     exact
// special   the bits of a NaN are kept by pairs of one type; halves as in common/half.h
// cost      one read and one write per element
#pragma once

#include "core/types.h"

namespace sorgum::linalg {

// The type in which is computed, and that of an array in memory.
template <class T, class S>
struct Pair {
    using computed = T;
    using stored = S;
};
using f32_f32 = Pair<float, float>;
using f32_f16 = Pair<float, float16>;
using f32_bf16 = Pair<float, bfloat16>;
using f64_f64 = Pair<double, double>;
using f64_f32 = Pair<double, float>;
using f64_f16 = Pair<double, float16>;
using f64_bf16 = Pair<double, bfloat16>;

template <class P>
using pack_fn = void(const typename P::stored* x, index_t stride, index_t rows, index_t n, typename P::computed* y,
                     index_t pitch, index_t step);
template <class P>
using pack_transposed_fn = void(const typename P::stored* x, index_t stride, index_t rows, index_t n,
                                typename P::computed* y, index_t pitch, index_t step);

}  // namespace sorgum::linalg
