// The products of rows with each other, of which Gram matrices are made, and the sums of such.
//
// computes  gram_terms: sums[row_of_triangle(i) + j] = sum over k < depth of x_ik y_jk, for the rows i of x and all
//           rows j of the panels of y that are not behind the panel of i, or that added to it, term by term, where
//           chains go on; add_sums: newer[i] = older[i] + newer[i]
// source    lanes of output columns over packed panels, as product.h; half of the work of a product, since rows times
//           rows is symmetric
// shapes    x and y: panels of 16 rows, each depth x 16, one after the other, of which the first is `first_row` and
//           `first_column`, multiples of 16; they may be the same
// order     one accumulator per element; k ascends by fma from +0, or from what stands in sums: chunks of product.h
// bound     depth u sum |x| |y|; exact products of what was float32 or a half type
// special   NaNs are not yet canonical
// cost      2 flops per term and element; panels of 128 terms are read from the first-level cache; elements above the
//           diagonal are computed in panels that lie on it; memory that is packed next is fetched meanwhile
#pragma once

#include "core/types.h"

namespace sorgum::linalg {

// A lower triangle in rows of whole vectors: where row i begins. The number of rows gives the size of the whole.
constexpr index_t row_of_triangle(index_t i) {
    const index_t panel = i / 16;
    return 16 * (8 * panel * (panel + 1) + i % 16 * (panel + 1));
}

// Memory that will be read soon: rows of some bytes, at a distance of stride.
struct Ahead {
    const char* data;
    index_t rows, bytes, stride;
};

template <class T>
struct GramPanels {
    const T *x, *y;
    index_t first_row, rows, first_column, columns, depth;
    T* sums;
    bool begins;  // chains begin; else they go on from sums
    Ahead ahead;
};

template <class T>
using gram_terms_fn = void(const GramPanels<T>& p);
template <class T>
using add_sums_fn = void(const T* older, T* newer, index_t n);  // n is a multiple of 16

}  // namespace sorgum::linalg
