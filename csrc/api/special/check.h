// The options of a call of special, checked alike wherever its arrays lie. All throw ValueError.
#pragma once

#include <string>

namespace sorgum::special {

enum class Algorithm { automatic, two_pass, three_pass_recompute, three_pass_reload };

// The algorithm of a name.
Algorithm algorithm_of(const char* function, const std::string& name);

void check_empty(const char* function, const std::string& empty);

// All options that are the same for all rows.
void check_options(const char* function, const std::string& empty, const std::string& algorithm, double temperature);

}  // namespace sorgum::special
