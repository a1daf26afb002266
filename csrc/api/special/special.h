// The operations of math/operation_state.h on arrays of any layout.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "api/call/rows.h"
#include "kernels/special/kernels.h"

namespace sorgum::special {

// What a call is given; an operation looks at what it has a use for. x, out and dy have one floating-point type, but
// that results of half types may be float32 where the operation widens. Those per row are scalars, or have the shape of
// the rows.
struct Arguments {
    ArrayView x, out;       // out: as set_result() tells
    ArrayView temperature;  // float64, per row
    AxisList axes;          // of a row
    // Null where there is none.
    const ArrayView* dy = nullptr;       // the gradient with respect to the function's result
    const ArrayView* where = nullptr;    // bool, broadcast to x
    const ArrayView* weights = nullptr;  // x's type, broadcast to x
    const ArrayView* sign = nullptr;     // logsumexp with weights: as out
    const ArrayView* records = nullptr;  // softmax_from_partial, which has no other temperature: per row
    std::string_view empty = "nan";      // or "zero"
    std::string_view algorithm = "auto";
    bool keepdims = false;  // logsumexp
};

// Checks all arguments, then computes.
void run(Op op, const Arguments& arguments);

// Gives `out` the type and the shape of the result, as of a contiguous array without memory. x and axes are given.
void set_result(Op op, Arguments& arguments);

// Records of partial sums (api/special/partial.h), as arrays of int64 with the words of a record along the last axis.
index_t chunk();  // the elements of a chunk: parts of a row that begin at multiples of it have its bits
void logsumexp_merge(const ArrayView& parts, const ArrayView& out);  // along the first axis
void logsumexp_finish(const ArrayView& p, const ArrayView& out, const std::optional<ArrayView>& sign);

// The shape of x without the axes, or with them at length 1.
std::vector<index_t> row_shape(const char* function, const ArrayView& x, const AxisList& axes, bool keepdims);

}  // namespace sorgum::special
