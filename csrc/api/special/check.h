// The options of a call of special, checked alike wherever its arrays lie. All throw ValueError.
#pragma once

#include <string_view>

namespace sorgum::special {

enum class Algorithm { automatic, two_pass, three_pass_recompute, three_pass_reload };

// The algorithm of a name.
Algorithm algorithm_of(const char* function, std::string_view name);

void check_empty(const char* function, std::string_view empty);

// All options that are the same for all rows.
void check_options(const char* function, std::string_view empty, std::string_view algorithm, double temperature);

}  // namespace sorgum::special
