// What runs on a CUDA device. The pointers are the device's; nothing is checked here but what CUDA reports, as a
// MachineError. Launches return before the work is done, which happens in the order of the stream.
#pragma once

#include "cuda/common/launch.h"
#include "cuda/random/random_state.h"

namespace sorgum::cuda {

// Streams, positions and temperatures are the host's; they may go when the call returns. X is float, float16 or
// bfloat16; T is float, double, bfloat16 for gumbel, and an integer of 32 or 64 bits for bits.
template <class T>
void launch_noise(Purpose law, bool wide, const NoiseRows<T>& rows, Stream stream);

// `parts`, `piece` and `pieces` are filled in here. `wait`: until all is drawn; then what `invalid` tells (see
// DrawRows) is returned, else kAllValid.
template <class X>
std::uint64_t launch_draws(const char* function, DrawRows<X> rows, bool wait, Stream stream);

}  // namespace sorgum::cuda
