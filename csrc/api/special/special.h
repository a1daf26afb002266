// exp, log, softmax, log_softmax and logsumexp on arrays of any layout.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/types.h"

namespace sorgum::special {

void exp(const ArrayView& x, const ArrayView& out);
void log(const ArrayView& x, const ArrayView& out);

// x and out have one floating-point type; for log_softmax and logsumexp of half types out may be float32. The reduced
// axes are all of them or a list.
struct Arguments {
    ArrayView x, out;
    bool all_axes;
    std::vector<index_t> axes;
    ArrayView temperature;                    // float64: a scalar or one per row
    std::optional<ArrayView> where, weights;  // bool, and x's type; broadcast to x
    std::optional<ArrayView> sign;            // logsumexp with weights: out's type and shape
    std::string empty = "nan";                // "nan" or "zero"
    std::string algorithm = "auto";
    bool keepdims = false;             // logsumexp
    std::optional<ArrayView> records;  // softmax_from_partial
    std::optional<ArrayView> dy;       // logsumexp_grad: x's type, a scalar or one per row
};

void softmax(const Arguments& arguments);
void log_softmax(const Arguments& arguments);
void logsumexp_grad(const Arguments& arguments);  // out is softmax times dy / T
void logsumexp(const Arguments& arguments);       // out has the shape row_shape() tells

// Records of partial sums (api/special/partial.h), as arrays of int64 with the words of a record along the last axis.
index_t chunk();  // the elements of a chunk: parts of a row that begin at multiples of it have its bits
void logsumexp_partial(const Arguments& arguments);                  // out: the shape row_shape() tells, and the words
void logsumexp_merge(const ArrayView& parts, const ArrayView& out);  // along the first axis
void logsumexp_finish(const ArrayView& p, const ArrayView& out, const std::optional<ArrayView>& sign);
void softmax_from_partial(const Arguments& arguments);  // without temperature, which stands in `records`

// The shape of x without the reduced axes, or with them at length 1.
std::vector<index_t> row_shape(const char* function, const ArrayView& x, bool all_axes,
                               const std::vector<index_t>& axes, bool keepdims);

}  // namespace sorgum::special
