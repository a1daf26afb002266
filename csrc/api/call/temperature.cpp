#include "api/call/temperature.h"

namespace sorgum {

double temperature_of(const ArrayView& scalar) {
    double t;
    __builtin_memcpy(&t, scalar.data, sizeof t);
    return t;
}

double temperature_of(const RowLayout& layout, int operand, index_t row) {
    double t;
    __builtin_memcpy(&t, layout.row(operand, row), sizeof t);
    return t;
}

void check_temperature(const char* function, double value) {
    if (!(value > 0.0) || value - value != 0.0)
        throw ValueError(std::string(function) + ": temperature must be positive and finite, got " +
                         number_text(value));
    if (value < 0x1p-1022)
        throw ValueError(std::string(function) + ": temperature must not be subnormal, got " + number_text(value));
}

void check_temperature(const char* function, const ArrayView& view, const RowLayout& layout, int operand) {
    if (view.ndim == 0)
        return check_temperature(function, temperature_of(view));
    for (index_t row = 0; row < layout.rows;) {
        const index_t count = layout.rows_of_run(row, layout.rows), stride = layout.run_stride(operand);
        const char* const of_run = layout.row(operand, row);
        for (index_t r = 0; r < count; ++r) {
            double value;
            __builtin_memcpy(&value, of_run + r * stride, sizeof value);
            if (!is_temperature(value))
                check_temperature(function, value);
        }
        row += count;
    }
}

const double* temperatures_of_run(const RowLayout& layout, int operand, index_t row, index_t rows, double* to) {
    const index_t stride = layout.run_stride(operand);
    const char* const of_run = layout.row(operand, row);
    if (stride == static_cast<index_t>(sizeof(double)) &&
        reinterpret_cast<std::uintptr_t>(of_run) % sizeof(double) == 0)
        return reinterpret_cast<const double*>(of_run);
    for (index_t r = 0; r < rows; ++r)
        __builtin_memcpy(to + r, of_run + r * stride, sizeof(double));
    return to;
}

}  // namespace sorgum
