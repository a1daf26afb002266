// The sum of squares, of which the square root is a norm.
//
// computes  squares_add: adds r[0]^2 + ... + r[n - 1]^2 to a sum; squares_merge: adds one sum to another;
//           squares_total: the sum as value * 2^exponent, value in [2^52, 2^54] or 0, exponent even
// source    scaling by a power of two, so that no square overflows and none that counts underflows: Blue 1978, "A
//           portable Fortran program to find the Euclidean norm of a vector"; deviation: the power of two is the
//           chunk's own
// shapes    one chunk at a time, n <= kChunk
// order     the chunk is scaled by 2^-e, e the exponent of its largest magnitude, within [-1022, 1022]; element j goes
//           to lane j mod 16 and vector j / 16; eight consecutive vectors of squares are added as a balanced tree; the
//           trees' sums are added in sequence; lanes are folded by halves. Chunks are combined exactly
//           (math/exact_sum.h)
// bound     40 u of the sum, see docs/numerics/sor.md
// special   NaN and infinities are told apart and add nothing
// cost      two reads per element, the second from cache
#pragma once

#include "math/exact_sum_state.h"

namespace sorgum::sor {

struct SquaresSum {
    ExactSum finite;
    bool has_nan, has_inf;
};

inline constexpr SquaresSum kNoSquares = {{kExactSumEmpty, {}}, false, false};

template <class T>
using squares_add_fn = void(const T* r, index_t n, SquaresSum& sum);
template <class T>
using squares_merge_fn = void(SquaresSum& into, const SquaresSum& from);
template <class T>
using squares_total_fn = double(const SquaresSum& sum, index_t& exponent);

}  // namespace sorgum::sor
