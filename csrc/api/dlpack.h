// Arrays as DLPack tells of them. The structures have the layout of the specification, versions 1.0 and before
// (https://dmlc.github.io/dlpack/latest/c_api.html).
#pragma once

#include "core/types.h"

namespace sorgum::dlpack {

struct DLTensor {
    void* data;
    std::int32_t device_type, device_id;
    std::int32_t ndim;
    std::uint8_t code, bits;
    std::uint16_t lanes;
    std::int64_t* shape;
    std::int64_t* strides;  // in elements
    std::uint64_t byte_offset;
};

struct DLManagedTensor {
    static constexpr const char* kName = "dltensor";
    DLTensor tensor;
    void* context;
    void (*deleter)(DLManagedTensor*);
};

struct DLManagedTensorVersioned {
    static constexpr const char* kName = "dltensor_versioned";
    std::uint32_t major, minor;
    void* context;
    void (*deleter)(DLManagedTensorVersioned*);
    std::uint64_t flags;
    DLTensor tensor;
};

inline constexpr std::uint32_t kMajor = 1;     // of the versions that this layout belongs to
inline constexpr std::uint64_t kReadOnly = 1;  // a bit of the flags
inline constexpr std::int32_t kCpu = 1;        // a device type

// Where a tensor lies: address, shape, and strides in bytes, also where the tensor leaves them out. The dtype is not
// told. Throws ValueError for what no array can be.
ArrayView layout_of(const DLTensor& tensor);

// Writes the strides in elements. False where they are no whole numbers.
bool strides_in_elements(const ArrayView& view, index_t itemsize, std::int64_t* strides);

}  // namespace sorgum::dlpack
