// Facts about CUDA devices, and where a call is to run. Nothing is checked here but what CUDA reports, as a
// MachineError.
#pragma once

#include <cstdint>
#include <string>

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

}  // namespace sorgum::cuda
