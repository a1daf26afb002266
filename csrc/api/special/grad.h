// The vector-Jacobian products of softmax and log_softmax on arrays of any layout.
#pragma once

#include <optional>
#include <vector>

#include "core/types.h"

namespace sorgum::special {

// y, dy and out have one type, float16, bfloat16, float32 or float64, and one shape.
struct GradArguments {
    ArrayView y, dy, out;
    bool all_axes;
    std::vector<index_t> axes;
    ArrayView temperature;           // float64: a scalar or one per row
    std::optional<ArrayView> where;  // bool, broadcast to y
};

void softmax_grad(const GradArguments& arguments);
void log_softmax_grad(const GradArguments& arguments);

}  // namespace sorgum::special
