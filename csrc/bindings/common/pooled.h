// Memory of the pool for arrays of NumPy.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>

namespace sorgum {

// The memory goes back to the pool when its owner goes.
struct PooledMemory {
    pybind11::capsule owner;
    void* data;
};

// At least `bytes` (core/memory_pool.h).
PooledMemory pooled_memory(std::size_t bytes);

}  // namespace sorgum
