// Norms by sums of squares.
#pragma once

#include <cmath>
#include <limits>

#include "dispatch/dispatch.h"
#include "dispatch/sor.h"

namespace sorgum::sor {

// Rounded once: twice where it is subnormal.
inline double root_of(const SquaresSum& sum) {
    if (sum.has_nan)
        return std::numeric_limits<double>::quiet_NaN();
    if (sum.has_inf)
        return std::numeric_limits<double>::infinity();
    index_t exponent;
    const double value = sor_squares_total(kernels(), double())(sum, exponent);
    return std::ldexp(std::sqrt(value), static_cast<int>(exponent / 2));
}

}  // namespace sorgum::sor
