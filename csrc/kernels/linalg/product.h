// The product of two matrices with an end that writes it where it belongs: the tile kernel.
//
// computes  product: out = end(x y), x of rows x depth, y of depth x columns, where end is one of the forms of `End`,
//           then times a factor per row or column, and base where a mask is not set;
//           row_product: the same for one row, y as it lies in memory, so that it need not be packed for one use
// source    lanes of output columns over packed panels: Goto and van de Geijn 2008, "Anatomy of High-Performance Matrix
//           Multiplication"; deviation: the order of the sum is a definition, not a choice
// shapes    x: rows at a distance of x_pitch; y: panels of 16 columns, each depth x 16, one after the other; of
//           row_product, columns that are contiguous, at a distance of y_pitch; base, out
//           and mask: rows at their pitch, columns contiguous; out may be base
// order     one accumulator per element; k ascends by fma from +0 within a chunk of 512; the sums of chunks are added
//           by a binary counter: those of chunks 2 i and 2 i + 1, then pairs of such sums, and so on; in the end what
//           remains, from the shortest up
// bound     (min(depth, 512) + log2(ceil(depth / 512)) + 1) u sum |x| |y|, then the end's: docs/numerics/linalg.md
// special   every NaN is the canonical one
// cost      2 flops per term and element; x is read once per two panels, y once per tile of rows, out written once
#pragma once

#include "kernels/linalg/pack.h"

namespace sorgum::linalg {

inline constexpr index_t kDepthChunk = 512;    // terms that are one chain (N4)
inline constexpr index_t kTileElements = 512;  // the most results of a tile, on any instruction set

// What is written for the element s of the product and the element b of the base.
enum class End : std::uint8_t {
    scaled,         // scale s
    added,          // b + scale s, rounded once
    added_rounded,  // b + d where d is scale s, rounded to the type of out
    multiplied,     // b + b (scale s), the product rounded
};

template <class P>
struct Product {
    using T = typename P::computed;
    using S = typename P::stored;

    const T* x;
    index_t x_pitch;
    const T* y;
    index_t rows, columns, depth;
    T* sums;  // where depth > kDepthChunk: kTileElements for each level of the counter
    End end;
    T scale;
    const S* base;  // none where the end is `scaled`
    index_t base_pitch;
    const T* row_factors;     // or null
    const T* column_factors;  // or null
    const bool* mask;         // or null
    index_t mask_pitch;
    S* out;
    index_t out_pitch;
    const index_t* row_numbers;  // the rows of base and out, where they are not those of x
    bool streaming;              // ends with a fence then
    bool* finite;                // or null: becomes false where a result is not finite; of halves, before it is rounded
};

template <class P>
using product_fn = void(const Product<P>& p);
template <class P>
using row_product_fn = void(const Product<P>& p, index_t y_pitch);

}  // namespace sorgum::linalg
