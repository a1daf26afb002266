// Arrays as DLPack describes them. The structures have the layout of the specification, versions 1.3 and before
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

// What the type of a library's arrays may offer, in a capsule: the same without calls in Python. Functions return 0, or
// something else with an error of Python set; `allocate` tells its error by `set_error`. Devices are not synchronised.
struct ExchangeApi {
    static constexpr const char* kName = "dlpack_exchange_api";
    std::uint32_t major, minor;
    ExchangeApi* previous;  // of an older version
    int (*allocate)(DLTensor* prototype, DLManagedTensorVersioned** out, void* context,
                    void (*set_error)(void* context, const char* kind, const char* message));
    int (*managed_of)(void* array, DLManagedTensorVersioned** out);
    int (*array_of)(DLManagedTensorVersioned* tensor, void** array);  // takes the tensor
    int (*borrow)(void* array, DLTensor* out);                        // may be null
    int (*current_stream)(std::int32_t device_type, std::int32_t device_id, void** out);
};

inline constexpr std::uint32_t kMajor = 1;                  // of the versions that this layout belongs to
inline constexpr std::uint64_t kReadOnly = 1, kCopied = 2;  // bits of the flags
inline constexpr std::int32_t kCpu = 1;                     // a device type

// Where a tensor lies: address, shape, and strides in bytes, also where the tensor leaves them out. The dtype is not
// filled in. Throws ValueError for what no array can be.
ArrayView layout_of(const DLTensor& tensor);

// Where its elements begin.
char* data_of(const DLTensor& tensor);

// Whether what is written there reaches the array that the producer was asked for.
bool is_writable(const DLManagedTensorVersioned& managed);

// Whether a plain call may take it: memory of the CPU that has elements, in C order, without gaps, and aligned.
bool is_plain(const DLTensor& tensor);

// False for types that arrays do not have here, and for bool.
bool dtype_of(const DLTensor& tensor, DType& dtype);

// The other way round.
void set_dtype(DLTensor& tensor, DType dtype);

// Writes the strides in elements. False where they are no whole numbers.
bool strides_in_elements(const ArrayView& view, index_t itemsize, std::int64_t* strides);

}  // namespace sorgum::dlpack
