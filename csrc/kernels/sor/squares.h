// Sums of products, and of squares, of which the square root is a norm.
//
// computes  squares_add: adds r[0]^2 + ... + r[n - 1]^2 to a sum
//           products_add: adds x[0] y[0] + ... + x[n - 1] y[n - 1] to a sum
//           squares_merge: adds one sum to another
//           squares_total: the sum as value * 2^exponent, |value| in [2^52, 2^54] or 0, exponent even
// source    scaling by a power of two, so that no square overflows and none that counts underflows: Blue 1978, "A
//           portable Fortran program to find the Euclidean norm of a vector"; deviation: the power of two is the
//           chunk's own, and each factor's
// shapes    one chunk at a time, n <= kChunk; x may be y
// order     each factor is widened to float64 and scaled by 2^-e, e the exponent of its chunk's largest magnitude, in
//           [-1022, 1022]; element j goes to lane j mod 16 and vector j / 16; eight consecutive vectors of products are
//           added as a balanced tree; the trees' sums are added in sequence; lanes are folded by halves. Chunks are
//           combined exactly (math/exact_sum.h)
// bound     40 u of the sum of the products' magnitudes, see docs/numerics/sor.md
// special   NaN and infinities are told apart and add nothing
// cost      two reads per element, the second from cache
#pragma once

#include "math/exact_sum_state.h"

namespace sorgum::sor {

// Of squares or of any products.
struct SquaresSum {
    ExactSum finite;
    bool has_nan, has_inf;
};

inline constexpr SquaresSum kNoSquares = {{kExactSumEmpty, {}}, false, false};

template <class T>
using squares_add_fn = void(const T* r, index_t n, SquaresSum& sum);
template <class T>
using products_add_fn = void(const T* x, const T* y, index_t n, SquaresSum& sum);
template <class T>
using squares_merge_fn = void(SquaresSum& into, const SquaresSum& from);
template <class T>
using squares_total_fn = double(const SquaresSum& sum, index_t& exponent);

}  // namespace sorgum::sor
