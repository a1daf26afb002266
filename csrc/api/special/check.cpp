#include "api/special/check.h"

#include "api/call/temperature.h"
#include "core/error.h"

namespace sorgum::special {

Algorithm algorithm_of(const char* function, std::string_view name) {
    if (name == "auto")
        return Algorithm::automatic;
    if (name == "two_pass")
        return Algorithm::two_pass;
    if (name == "three_pass_recompute")
        return Algorithm::three_pass_recompute;
    if (name == "three_pass_reload")
        return Algorithm::three_pass_reload;
    throw ValueError(
        std::string(function) +
        ": algorithm must be one of 'auto', 'two_pass', 'three_pass_recompute', 'three_pass_reload', got '" +
        std::string(name) + "'");
}

void check_empty(const char* function, std::string_view empty) {
    if (empty != "nan" && empty != "zero")
        throw ValueError(std::string(function) + ": empty must be 'nan' or 'zero', got '" + std::string(empty) + "'");
}

void check_options(const char* function, std::string_view empty, std::string_view algorithm, double temperature) {
    check_empty(function, empty);
    algorithm_of(function, algorithm);
    check_temperature(function, temperature);
}

}  // namespace sorgum::special
