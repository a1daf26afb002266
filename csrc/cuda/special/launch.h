// What runs on a CUDA device. The pointers are the device's; nothing is checked here but what CUDA reports, as a
// MachineError. Launches return before the work is done, which happens in the order of the stream.
#pragma once

#include "cuda/common/launch.h"
#include "cuda/special/rows_state.h"

namespace sorgum::cuda {

void launch_exp(const float* x, float* y, index_t n, Stream stream);

// `rows.piece`, `rows.pieces` and `rows.sums` are filled in here.
void launch_softmax(Rows rows, Stream stream);
void launch_logsumexp(Rows rows, Stream stream);

}  // namespace sorgum::cuda
