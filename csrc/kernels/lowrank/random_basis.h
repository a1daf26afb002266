// Random matrices that are made when they are needed and never stored: a sum of them, and their products with one.
//
// computes  basis_add: y[j] += the sum over i < count of weights[i] c(i, first + j); basis_dots: y[i] = the sum over
//           j < n of g[j] c(first + i, j), i < count <= 16; c(i, j) = 2 v - 1 with the uniform number v of 32 bits at
//           index j of stream i, position 0
// source    Koohpayegani et al. 2024, "NOLA: Compressing LoRA using Linear Combination of Random Basis"
// shapes    contiguous; first of basis_add is a multiple of 128
// order     basis_add: i = 0, 1, ..., one multiply-add each, from y[j]; basis_dots: j ascending, one multiply-add each,
//           in chunks of 512 from 0, which are added in float64
// bound     c exact in float64, 2 units of 1 in float32; basis_add: (count + 2) u (|y| + sum |weights|); basis_dots:
//           514 u sum |g|, u = 2^-24 or 2^-53, and n / 512 2^-53 of it
// special   c is finite and never 0; a NaN result is the one of N10
// cost      a quarter of a Philox block per number; y and g once each
#pragma once

#include "core/types.h"

namespace sorgum::lowrank {

template <class T>
using basis_add_fn = void(std::uint64_t key, const T* weights, index_t count, index_t first, index_t n, T* y);
template <class T>
using basis_dots_fn = void(std::uint64_t key, index_t first, index_t count, const T* g, index_t n, T* y);

}  // namespace sorgum::lowrank
