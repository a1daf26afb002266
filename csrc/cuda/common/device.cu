// Devices, and what CUDA knows of them.
#include "cuda/common/runtime.h"

namespace sorgum {
namespace cuda {

int device_count(std::string& reason) {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    static_cast<void>(cudaGetLastError());  // the answer is no failure of a later call
    if (status == cudaSuccess && count > 0)
        return count;
    reason = status == cudaSuccess
                 ? "CUDA reports no device"
                 : "CUDA reports error " + std::to_string(static_cast<int>(status)) + ", " + cudaGetErrorString(status);
    return 0;
}

int device_of(const void* pointer) {
    cudaPointerAttributes attributes;
    const cudaError_t status = cudaPointerGetAttributes(&attributes, pointer);
    static_cast<void>(cudaGetLastError());
    const bool known =
        status == cudaSuccess && (attributes.type == cudaMemoryTypeDevice || attributes.type == cudaMemoryTypeManaged);
    return known ? attributes.device : -1;
}

DeviceGuard::DeviceGuard(const char* function, int device) : device_(device) {
    check(function, cudaGetDevice(&before_));
    if (before_ != device)
        check(function, cudaSetDevice(device));
}

DeviceGuard::~DeviceGuard() {
    if (before_ != device_)
        static_cast<void>(cudaSetDevice(before_));
}

}  // namespace cuda
}  // namespace sorgum
