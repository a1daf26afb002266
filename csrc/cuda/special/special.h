// exp, softmax and logsumexp of float32 arrays on a CUDA device: what csrc/api is for those of the CPU. Views hold
// addresses of the device. Work is put on the stream and not waited for.
#pragma once

#include <optional>
#include <vector>

#include "core/types.h"
#include "cuda/special/launch.h"

namespace sorgum::cuda {

void exp(const ArrayView& x, const ArrayView& out, const Place& place);

struct Arguments {
    ArrayView x, out;  // rows of adjacent elements, all at one distance
    bool all_axes;
    std::vector<index_t> axes;
    double temperature;
    std::optional<ArrayView> where;  // bool, broadcast to x
    bool zero_empty = false;
    bool keepdims = false;  // logsumexp
};
void softmax(const Arguments& arguments, const Place& place);
void logsumexp(const Arguments& arguments, const Place& place);

}  // namespace sorgum::cuda
