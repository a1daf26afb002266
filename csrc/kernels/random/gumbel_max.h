// The Gumbel-max draw: one pass over the logits, with noise that is never stored and mostly never computed.
//
// computes  gumbel_max: the largest of x[i] + T G[i] and its index, G[i] the Gumbel number of word i of the row;
//           gumbel_top: the largest few and their indices;
//           gumbel_listed: gumbel_max over some elements alone, which a list names
// source    Maddison, Tarlow and Minka 2014, "A* Sampling", section 2; the screening is ours: G > g is
//           E = -log(1 - v) < exp(-g), and E > v; so an element cannot win unless log2 v <= (x - best) / (T ln 2). The
//           left side is bounded from below by the word's exponent and mantissa, read as a straight line between powers
//           of two: one multiply-add and one comparison of floats per element decide, with a margin for all roundings.
//           The few elements that pass are computed with logarithms, in float64
// shapes    x contiguous; x[k] is category first + k
// order     none: x + T G is compared as an unevaluated sum of two float64, exact for every x; of equal sums the lowest
//           index wins. So parts of a row may be drawn from in any order and merged
// bound     T G within 4 ULP of float64
// special   -inf never wins. NaN and +inf: value NaN, index -1. T = 0, as which callers count subnormal ones: the
//           largest logit
// cost      one read; a quarter of a Philox block per element; some 20 logarithms per row
#pragma once

#include "math/random_state.h"

namespace sorgum::random {

// Continues a draw that starts as {-inf, 0, -1}. 0 <= temperature <= 2^900, so that nothing overflows.
// S, the type of the logits, may be a half type.
template <class S>
using gumbel_max_fn = void(const NoiseRow& row, double temperature, const S* x, index_t first, index_t n, Draw& best);

// The `most` largest of x + T G instead of one: `best` holds the `count` largest so far, a heap with the least at its
// root; count starts as 0, and becomes -1 with a NaN or +inf.
template <class S>
using gumbel_top_fn = void(const NoiseRow& row, double temperature, const S* x, index_t first, index_t n, Draw* best,
                           index_t most, index_t& count);

// As gumbel_max for the elements x[k] at the indices first + places[k], these integers below 2^31 in the encoding of T.
template <class T>
using gumbel_listed_fn = void(const NoiseRow& row, double temperature, const T* x, const T* places, index_t first,
                              index_t n, Draw& best);

}  // namespace sorgum::random
