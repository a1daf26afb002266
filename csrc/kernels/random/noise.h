// Kernels of random words and of noise made from them, element by element.
//
// computes  philox: blocks of four words; bits: the words of a row; uniform v, exponential -log(1 - v), gumbel
//           -log(-log(1 - v)), logistic log(v / (1 - v)), normal the normal quantile of v, with v = (word + 1/2) / 2^32
//           or 2^64
// source    Salmon, Moraes, Dror and Shaw 2011, "Parallel Random Numbers: As Easy as 1, 2, 3"; the layout of counters
//           is math/stream.h
// shapes    contiguous; y[k] is element first + k of the row, 0 <= first, first + n <= 2^62
// order     none: an element depends on the row and its own index
// bound     see docs/numerics/random.md
// special   every result is finite; uniform is above 0 and below 1
// cost      one write; a quarter of a Philox block per 32-bit word
#pragma once

#include "math/random_state.h"

namespace sorgum::random {

// Block k of n from counters c[w n + k] and keys key[w n + k]; words are passed in the encoding of floats.
struct PhiloxBlocks {
    const float* counter;
    const float* key;
    float* out;
    index_t n;
    int rounds;  // 7 or 10
};
template <class T>
using philox_fn = void(const PhiloxBlocks& blocks);

// T gives the size of the result. Words of 32 bits serve both; bits has words as wide as its elements. `streaming`:
// past the caches, where 128 words (of 64 bits: 64) begin on a cache line.
template <class T>
using noise_fn = void(const NoiseRow& row, index_t first, index_t n, T* y, bool streaming);
template <class T>
using bits_fn = noise_fn<T>;
template <class T>
using uniform_fn = noise_fn<T>;
template <class T>
using exponential_fn = noise_fn<T>;
template <class T>
using gumbel_fn = noise_fn<T>;
template <class T>
using logistic_fn = noise_fn<T>;
template <class T>
using normal_fn = noise_fn<T>;

// y[k] = x[k] + the Gumbel number of a 32-bit word, in T, rounded once; y may be x.
template <class T>
using gumbel_add_fn = void(const NoiseRow& row, const T* x, index_t first, index_t n, T* y);

}  // namespace sorgum::random
