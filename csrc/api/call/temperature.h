// Temperatures: float64, a scalar or one per row.
#pragma once

#include "api/call/rows.h"

namespace sorgum {

// Whether it is positive, finite and normal.
constexpr bool is_temperature(double value) { return value >= 0x1p-1022 && value <= 0x1.fffffffffffffp+1023; }

// Throws ValueError unless it is.
void check_temperature(const char* function, double value);

// Throws ValueError unless all are positive, finite and normal. Unless `view` is a scalar, they are one of the layout's
// operands.
void check_temperature(const char* function, const ArrayView& view, const RowLayout& layout, int operand);

double temperature_of(const ArrayView& scalar);
double temperature_of(const RowLayout& layout, int operand, index_t row);

// The temperatures of some rows of one run: where they lie, if they lie there as an array, else copied to `to`.
const double* temperatures_of_run(const RowLayout& layout, int operand, index_t row, index_t rows, double* to);

}  // namespace sorgum
