// What launches share: errors that CUDA reports, grids, memory for the time of a call.
#pragma once

#include <cuda_runtime.h>

#include <string>

#include "core/error.h"
#include "core/types.h"
#include "cuda/common/launch.h"

namespace sorgum {
namespace cuda {

inline void check(const char* function, cudaError_t status) {
    if (status != cudaSuccess)
        throw MachineError(std::string(function) + ": CUDA reports error " + std::to_string(static_cast<int>(status)) +
                           ", " + cudaGetErrorString(status));
}

inline cudaStream_t handle(Stream stream) { return reinterpret_cast<cudaStream_t>(stream); }

inline unsigned grid_for(index_t blocks) {
    constexpr index_t most = index_t(1) << 30;  // a grid may have twice as many; kernels take what is beyond by turns
    return static_cast<unsigned>(blocks < most ? blocks : most);
}

// Memory that is there from now to the end of a call, in the order of its stream.
class Workspace {
public:
    Workspace(const char* function, std::size_t bytes, Stream stream) : stream_(handle(stream)) {
        check(function, cudaMallocAsync(&memory_, bytes, stream_));
    }
    ~Workspace() { static_cast<void>(cudaFreeAsync(memory_, stream_)); }
    Workspace(const Workspace&) = delete;
    Workspace& operator=(const Workspace&) = delete;
    void* memory() const { return memory_; }

private:
    void* memory_;
    cudaStream_t stream_;
};

}  // namespace cuda
}  // namespace sorgum
