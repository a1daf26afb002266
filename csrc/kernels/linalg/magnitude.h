// The largest magnitude of some elements: whether they are finite, and what their products can come to.
//
// computes  max |x[i]|, i < n, in the type that is computed in; 0 where n is 0
// source    none
// shapes    contiguous
// order     none: a maximum has no rounding
// bound     exact
// special   NaN where an element is NaN
// cost      one read per element
#pragma once

#include "core/types.h"

namespace sorgum::linalg {

template <class T>
using largest_magnitude_fn = computed_t<T>(const T* x, index_t n);

}  // namespace sorgum::linalg
