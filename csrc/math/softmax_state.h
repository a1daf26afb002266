// The structs of the family special that cross translation units: what the temperature means, and what is known of a
// row after its first pass, or after a part of it.
#pragma once

#include "math/exact_sum_state.h"

namespace sorgum {

// exp(x / T) = 2^(c x) with c = log2(e) / T as the unevaluated sum c1 + c2 + c3. For the elements, x is multiplied by
// `prescale`, a power of two (1 unless T is extreme), and the rest of c is rounded to c_hi + c_lo.
//
// Where T is so large that 1 / T, or the low part of such a sum, would be subnormal, c and 1 / T are those of T `down`,
// and are multiplied by x `down`.
template <class T>
struct ExpScale {
    double c1, c2, c3;
    double inv_c;                                 // 1 / (c_hi + c_lo)
    double inv_temperature, inv_temperature_low;  // 1 / T as an unevaluated sum
    double farthest;                              // beyond it x / T overflows, and the low part may by itself
    double down;                                  // a power of two, 1 unless T is extreme
    T prescale, c_hi, c_lo;
};

// The sum of exp(x / T) over any part of a row: `count` elements equal the largest one; the others are summed apart,
// so that log(sum / exp(max / T)) keeps its digits when one element dominates.
template <class T>
struct RowSum {
    T max;  // -inf when there is no element
    bool has_nan, has_inf;
    bool has_minus_inf;  // an infinite term of negative weight
    index_t count;
    ExactSum others;
};

// What the second pass needs of a row.
template <class T>
struct RowResult {
    T max;
    bool has_nan, has_inf;  // an empty row has max = -inf and neither
    bool subtract_max;      // the reference of the three-pass algorithms
    double sum, sum_low;    // an unevaluated sum, in units of 2^exponent of the reference
    double max_mantissa;    // exp(max / T) in the same units
    double count;           // of elements equal to the maximum
    double excess;          // sum / exp(max / T) - 1
    double log_excess;      // log(1 + excess)
    double log_sum_exp;     // max / T + log_excess, as IEEE would have it for special rows
};

}  // namespace sorgum
