// Kernels that convert between the half types and float32.
//
// computes  widen: y[i] = x[i]; narrow: y[i] = x[i], rounded
// source    IEEE 754-2019, section 4.3.1; math/half.h
// shapes    contiguous; y does not overlap x
// order     elementwise
// bound     widen exact; narrow rounds once, to nearest, ties to even
// special   subnormals are kept; a NaN stays a quiet one
// cost      one read and one write per element
#pragma once

#include "core/types.h"

namespace sorgum::common {

// H is float16 or bfloat16.
template <class H>
using widen_fn = void(const H* x, float* y, index_t n);
template <class H>
using narrow_fn = void(const float* x, H* y, index_t n, bool streaming);  // ends with a fence when streaming

}  // namespace sorgum::common
