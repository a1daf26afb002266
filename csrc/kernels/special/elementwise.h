// exp(x) and log(x), element by element.
//
// computes  y[i] = f(x[i])
// source    math/exp.h, math/log.h
// shapes    contiguous; y may be x
// order     none
// bound     1 ULP, see docs/numerics/special.md
// special   IEEE 754: exp(-inf) = 0, exp(inf) = inf, log(0) = -inf, log(x < 0) = NaN; NaN is canonical
// cost      one read, one write
#pragma once

#include "core/types.h"

namespace sorgum::special {

template <class T>
using exp_fn = void(const T* x, T* y, index_t n, bool streaming);
template <class T>
using log_fn = exp_fn<T>;

}  // namespace sorgum::special
