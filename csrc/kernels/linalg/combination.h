// The product of one row with a matrix whose rows lie in memory: a linear combination of rows, which are not packed.
//
// computes  row_combination: out[j] = sum over k < depth of x_k y[k y_pitch + j]
// source    the axpy form of a matrix times a vector: Golub and Van Loan 2013, section 1.1.4; eight rows at a time, so
//           that sums are loaded and stored once for eight terms
// shapes    x: depth contiguous numbers; y: rows of so many columns at a distance of y_pitch; out: contiguous, apart
// order     that of product.h: the bits of the same row in a product
// bound     that of product.h
// special   every NaN is the canonical one
// cost      2 flops per element of y, which is read once; sums are in the first-level cache
#pragma once

#include "kernels/linalg/product.h"

namespace sorgum::linalg {

// `sums`: as in Product.
template <class P>
using row_combination_fn = void(const typename P::computed* x, const typename P::stored* y, index_t y_pitch,
                                index_t depth, index_t columns, typename P::computed* sums, typename P::stored* out);

}  // namespace sorgum::linalg
