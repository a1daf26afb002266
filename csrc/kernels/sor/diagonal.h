// Magnitudes of values, and the reciprocals of a diagonal.
//
// computes  magnitude: the largest magnitude of n numbers; reciprocals: 1 / (d[i] + shift), and the least and the
//           largest magnitude of what was divided by
// source    none
// shapes    contiguous; n is a multiple of 16
// order     none
// bound     the sum and the quotient are rounded once each
// special   magnitude is NaN where one of the numbers is NaN or infinite; so is least
// cost      magnitude: one read; reciprocals: one read, one write, a division
#pragma once

#include "core/types.h"

namespace sorgum::sor {

template <class T>
using magnitude_fn = T(const T* x, index_t n);
template <class T>
using reciprocals_fn = void(const T* d, index_t n, T shift, T* inverse, T& least, T& largest);

}  // namespace sorgum::sor
