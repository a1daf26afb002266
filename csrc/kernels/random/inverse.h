// Drawing a category by inversion: the row is summed once, then one word chooses a chunk and another an element in it.
//
// computes  chunk_masses: what each chunk of kChunk elements weighs;
//           choose_chunk: the chunk in which a word falls;
//           draw_in_chunk: the element in which a word falls
// source    the two levels of a search by inversion, Devroye 1986, "Non-Uniform Random Variate Generation", III.2. The
//           masses of a row's chunks and the weights of a chunk's elements are made integers: their sums are exact, so
//           every word falls in one of them
// shapes    x contiguous, from a chunk's border
// order     sums of a chunk as in kernels/special/softmax.h; integers in any order
// bound     masses as the sum of softmax; weights within 2^-22 (float64: 2^-50) of their size or 2^-50 of the chunk's
//           largest, whichever is more; a word of 64 bits falls in [0, total) within 2^-64
// special   -inf weighs exactly nothing. NaN and +inf: the mass is NaN, no chunk is chosen (-1)
// cost      one read, one exponential per element; then a chunk once more
#pragma once

#include "math/random_state.h"
#include "math/softmax_state.h"

namespace sorgum::random {

// S, the type of the logits, may be a half type.
template <class S>
using chunk_masses_fn = void(const S* x, index_t n, const ExpScale<computed_t<S>>& scale, ChunkMass* masses);

// -1: no chunk weighs anything. -2: one of them is NaN. (T has no part in it.)
template <class T>
using choose_chunk_fn = index_t(const ChunkMass* masses, index_t n, std::uint64_t word);

// `x` has the chunk's n elements, the largest of which is `max`.
template <class T>
using draw_in_chunk_fn = index_t(const T* x, index_t n, const ExpScale<T>& scale, double max, std::uint64_t word);

}  // namespace sorgum::random
