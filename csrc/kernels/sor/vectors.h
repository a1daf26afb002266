// The sum of two scaled vectors, the one thing that conjugate gradients do to vectors.
//
// computes  out[i] = a d[i] x[i] + b y[i]
// source    the level-1 routine axpby; deviation: a factor of its own for every element, as diagonal matrices are
// shapes    n elements; out may be x or y, else it overlaps nothing. Without d (null) all d[i] are 1; without y (null)
//           the second term is absent
// order     out[i] = fma(a d[i], x[i], b y[i]): a d[i] and b y[i] are rounded before
// bound     4 u (|a d[i] x[i]| + |b y[i]|)
// special   as IEEE 754 has it
// cost      per element a read of each vector and a write
#pragma once

#include "core/types.h"

namespace sorgum::sor {

template <class T>
using combine_fn = void(T a, const T* d, const T* x, T b, const T* y, T* out, index_t n);

}  // namespace sorgum::sor
