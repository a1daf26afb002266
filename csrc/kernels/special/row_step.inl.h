// What one step of a loop over rows does, of softmax and its relatives and of their gradients.
#pragma once

#include "simd/simd.h"

SORGUM_ISA_BEGIN

// A set: each value is a part of the work, or a fact about it. The parts belong to rows of different batches, so that
// memory is read and written evenly: the results of a row are written while a later one is summed and one after that
// is swept.
enum class Step : unsigned {
    none = 0,
    sweep = 1,      // finds the extremes of a row, by which its terms' reference is chosen
    sum = 2,        // adds the terms of a row, or the products that a gradient sums
    write = 4,      // writes the results of a row whose sum is known
    subnormal = 8,  // some result may be subnormal, and is formed in fixed point
    divide = 16,    // the temperature is not 1, and a gradient is divided by it
    wide = 32,      // the terms that are summed are added in float64 (precise.inl.h)
};
constexpr Step operator|(Step a, Step b) {
    return static_cast<Step>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr Step operator&(Step a, Step b) {
    return static_cast<Step>(static_cast<unsigned>(a) & static_cast<unsigned>(b));
}
constexpr bool has(Step step, Step part) { return (step & part) != Step::none; }

SORGUM_ISA_END
