// The sums of squares of 16 rows, or columns, that were packed as a panel: of what norms are made.
//
// computes  sums[j] = sum over k < depth of y[16 k + j]^2
// source    a panel is what product.h multiplies by
// shapes    y: depth x 16
// order     that of a product (product.h): chains of 512, added by the binary counter
// bound     (min(depth, 512) + log2(ceil(depth / 512)) + 1) u of the sum; exact squares of what was float32
// special   squares may overflow: values are float32's, or float64 within 2^511
// cost      one read per element
#pragma once

#include "core/types.h"

namespace sorgum::linalg {

// `levels`: sums_for(depth) numbers, and kTileElements where the depth is one chunk.
template <class T>
using panel_squares_fn = void(const T* y, index_t depth, T* levels, T* sums);

}  // namespace sorgum::linalg
