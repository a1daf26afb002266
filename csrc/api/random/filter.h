// The temperatures and filters of rows.
#pragma once

#include "api/call/temperature.h"
#include "api/random/prefix.h"
#include "api/random/rows.h"

namespace sorgum::random {

// Checked, whether there are rows or not; they are operands of a layout.
class RowRules {
public:
    RowRules(const char* function, const ArrayView& temperature, const std::optional<FilterArguments>& filters,
             const ArrayView& x, const AxisMask& reduced, std::vector<ArrayView>& operands);
    bool filtered() const { return filtered_; }
    const FilterRules& rules() const { return rules_; }
    double temperature(const RowLayout& layout, index_t r) const {
        return counted_temperature(temperature_of(layout, first_, r));
    }
    Filters filters(const RowLayout& layout, index_t r) const;

private:
    bool filtered_;
    int first_;
    FilterRules rules_ = {};
};

}  // namespace sorgum::random
