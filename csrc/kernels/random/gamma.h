// Gamma numbers of any shape parameter.
//
// computes  y[k] = a number of density x^(a - 1) exp(-x) / Gamma(a), a = shape[k], or its logarithm
// source    Marsaglia and Tsang 2000, "A simple method for generating gamma variables": d v^3 with v = 1 + c z, z
//           normal, d = a - 1/3, c = (9 d)^-1/2, is accepted if log(u) < z^2 / 2 + d (1 - v^3 + 3 log v). For a < 1: a
//           number of shape a + 1 times u^(1 / a) (section 6 there), formed in logarithms, since the logarithm of a
//           number of shape 2^-1000 is finite, the number itself mostly 0
// shapes    contiguous; y[k] is element first + k of the row
// order     none: attempt t = 1, 2, ... of element i takes the block i of the row's attempt t, words 0 and 1 for z and
//           words 2 and 3 for u; words 0 and 1 of attempt 0 are the u of a < 1
// bound     see docs/numerics/random.md
// special   2^-1000 <= a <= 2^1000
// cost      one read, one write; some 1.03 attempts, each of a Philox block, three logarithms and a normal quantile
#pragma once

#include "math/random_state.h"

namespace sorgum::random {

template <class T>
using gamma_fn = void(const NoiseRow& row, index_t first, index_t n, const double* shape, bool logarithm, T* y);

}  // namespace sorgum::random
