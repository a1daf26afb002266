// What runs on a CUDA device: launches, and facts about devices. The pointers are the device's; nothing is checked here
// but what CUDA reports, as a MachineError. Launches return before the work is done, which happens in the order of the
// stream.
#pragma once

#include <string>

#include "cuda/rows_state.h"

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

void launch_exp(const float* x, float* y, index_t n, Stream stream);

// `rows.piece`, `rows.pieces` and `rows.sums` are filled in here.
void launch_softmax(Rows rows, Stream stream);
void launch_logsumexp(Rows rows, Stream stream);

}  // namespace sorgum::cuda
