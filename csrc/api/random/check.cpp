#include "api/random/check.h"

#include <algorithm>

#include "api/random/rows.h"
#include "core/error.h"

namespace sorgum::random {

namespace {

constexpr Law kLaws[] = {
    {"bits", Purpose::bits},     {"uniform", Purpose::uniform},   {"exponential", Purpose::exponential},
    {"gumbel", Purpose::gumbel}, {"logistic", Purpose::logistic}, {"normal", Purpose::normal}};

constexpr index_t kLastIndex = index_t(1) << 62;  // two words per index keep within 63 bits

// The largest temperature: T G stays below half a unit of the largest float64, so that no sum overflows.
constexpr double kLargestTemperature = 0x1p900;

// An array of which nothing is known but its shape.
ArrayView view_of_shape(const std::vector<index_t>& shape) {
    ArrayView x = {};
    x.ndim = static_cast<int>(shape.size());
    if (x.ndim > kMaxDims)
        throw ValueError("x must have at most 64 axes, got " + std::to_string(x.ndim));
    std::copy(shape.begin(), shape.end(), x.shape);
    return x;
}

}  // namespace

const Law& law_of(const std::string& name) {
    for (const Law& law : kLaws)
        if (name == law.name)
            return law;
    throw ValueError("noise: law must be a distribution of this family, got '" + name + "'");
}

void check_index_offset(const char* function, index_t offset, index_t length) {
    if (offset < 0 || offset > kLastIndex)
        throw ValueError(std::string(function) + ": index_offset must be in [0, 2**62], got " + std::to_string(offset));
    if (length > kLastIndex - offset)
        throw ValueError(std::string(function) + ": index_offset must leave indices up to 2**62, got " +
                         std::to_string(offset) + " and rows of " + std::to_string(length));
}

void check_draw_temperature(const char* function, double value) {
    if (!(value >= 0.0) || value > kLargestTemperature)
        throw ValueError(std::string(function) + ": temperature must be in [0, 2**900], got " + number_text(value));
}

void check_places(const char* function, const std::vector<index_t>& shape, const Source& source) {
    const ArrayView x = view_of_shape(shape);
    const RowSource rows(function, source, x, last_axis(x));
}

void check_draw(const char* function, const std::vector<index_t>& shape, const ArrayView& temperature,
                const Source& source) {
    check_places(function, shape, source);
    const ArrayView x = view_of_shape(shape);
    per_row(function, "temperature", temperature, x, last_axis(x));
    for_each_value<double>(temperature, [&](double t) { check_draw_temperature(function, t); });
}

}  // namespace sorgum::random
