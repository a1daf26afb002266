// What runs on a CUDA device: launches, and facts about devices. The pointers are the device's; nothing is checked here
// but what CUDA reports, as a MachineError. Launches return before the work is done, which happens in the order of the
// stream.
#pragma once

#include <string>

#include "cuda/random_state.h"

namespace sorgum::cuda {

// The number of devices; where it is 0, `reason` says why.
int device_count(std::string& reason);

// The device whose memory this is; -1 for memory that CUDA does not know, or the host's.
int device_of(const void* pointer);

// Makes a device current for as long as it lives.
class DeviceGuard {
public:
    DeviceGuard(const char* function, int device);
    ~DeviceGuard();
    DeviceGuard(const DeviceGuard&) = delete;
    DeviceGuard& operator=(const DeviceGuard&) = delete;

private:
    int before_, device_;
};

// A stream as its handle; 1 and 2 are CUDA's own names of the legacy and the per-thread default stream.
using Stream = std::uintptr_t;

// Where a call is to run.
struct Place {
    int device;
    Stream stream;
};

void launch_exp(const float* x, float* y, index_t n, Stream stream);

// `rows.piece`, `rows.pieces` and `rows.sums` are filled in here.
void launch_softmax(Rows rows, Stream stream);
void launch_logsumexp(Rows rows, Stream stream);

// Streams, positions and temperatures are the host's; they may go when the call returns. X is float, float16 or
// bfloat16; T is float, double, bfloat16 for gumbel, and an integer of 32 or 64 bits for bits.
template <class T>
void launch_noise(Purpose law, bool wide, const NoiseRows<T>& rows, Stream stream);

// `parts`, `piece` and `pieces` are filled in here. `wait`: until all is drawn; then what `invalid` tells (see
// DrawRows) is returned, else kAllValid.
template <class X>
std::uint64_t launch_draws(const char* function, DrawRows<X> rows, bool wait, Stream stream);

}  // namespace sorgum::cuda
