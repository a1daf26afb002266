#include "api/call/temperature.h"

namespace sorgum {

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
    const index_t count = view.ndim == 0 ? 1 : layout.rows;
    for (index_t row = 0; row < count; ++row) {
        double value;
        if (view.ndim == 0)
            __builtin_memcpy(&value, view.data, sizeof value);
        else
            value = temperature_of(layout, operand, row);
        check_temperature(function, value);
    }
}

}  // namespace sorgum
