#include "api/call/dlpack.h"

#include <string>

#include "core/error.h"

namespace sorgum::dlpack {

char* data_of(const DLTensor& tensor) { return static_cast<char*>(tensor.data) + tensor.byte_offset; }

bool is_writable(const DLManagedTensorVersioned& managed) { return (managed.flags & (kReadOnly | kCopied)) == 0; }

ArrayView layout_of(const DLTensor& tensor) {
    const auto refuse = [](const char* rule, index_t got) {
        throw ValueError(std::string("__dlpack__: ") + rule + ", got " + std::to_string(got));
    };
    if (tensor.ndim < 0 || tensor.ndim > kMaxDims)
        refuse("ndim must be in [0, 64]", tensor.ndim);
    if (tensor.ndim > 0 && tensor.shape == nullptr)
        refuse("shape must be given for axes", tensor.ndim);
    ArrayView view = {};
    view.ndim = tensor.ndim;
    view.data = data_of(tensor);
    const index_t itemsize = (index_t(tensor.bits) * tensor.lanes + 7) / 8;
    index_t contiguous = itemsize, elements = 1;
    for (int d = view.ndim - 1; d >= 0; --d) {
        const index_t length = tensor.shape[d];
        if (length < 0)
            refuse("shape must not be negative", length);
        view.shape[d] = length;
        view.strides[d] = tensor.strides != nullptr ? tensor.strides[d] * itemsize : contiguous;
        if (__builtin_mul_overflow(contiguous, length > 1 ? length : 1, &contiguous))
            refuse("the size must fit in 63 bits, for axes", tensor.ndim);
        elements = length == 0 ? 0 : elements;
    }
    if (elements != 0 && tensor.data == nullptr)
        refuse("data must be given for elements of so many bits", tensor.bits);
    return view;
}

bool is_plain(const DLTensor& tensor) {
    if (tensor.device_type != kCpu || tensor.lanes != 1 || tensor.bits < 8 || tensor.data == nullptr ||
        tensor.ndim < 0 || tensor.ndim > kMaxDims || (tensor.ndim > 0 && tensor.shape == nullptr))
        return false;
    index_t step = 1;
    for (int d = tensor.ndim - 1; d >= 0; --d) {
        const index_t length = tensor.shape[d];
        if (length <= 0 || (tensor.strides != nullptr && length > 1 && tensor.strides[d] != step) ||
            __builtin_mul_overflow(step, length, &step))
            return false;
    }
    return reinterpret_cast<std::uintptr_t>(data_of(tensor)) % (tensor.bits / 8) == 0;
}

namespace {

enum Code : std::uint8_t { kInt = 0, kFloat = 2, kBfloat = 4 };

struct Type {
    DType dtype;
    Code code;
    std::uint8_t bits;
};

constexpr Type kTypes[] = {{DType::f16, kFloat, 16},
                           {DType::bf16, kBfloat, 16},
                           {DType::f32, kFloat, 32},
                           {DType::f64, kFloat, 64},
                           {DType::i64, kInt, 64}};

}  // namespace

bool dtype_of(const DLTensor& tensor, DType& dtype) {
    for (const Type& type : kTypes) {
        dtype = type.dtype;
        if (tensor.code == type.code && tensor.bits == type.bits)
            return true;
    }
    return false;
}

void set_dtype(DLTensor& tensor, DType dtype) {
    for (const Type& type : kTypes) {
        if (dtype == type.dtype) {
            tensor.code = type.code;
            tensor.bits = type.bits;
        }
    }
    tensor.lanes = 1;
}

bool strides_in_elements(const ArrayView& view, index_t itemsize, std::int64_t* strides) {
    for (int d = 0; d < view.ndim; ++d) {
        if (view.strides[d] % itemsize != 0)
            return false;
        strides[d] = view.strides[d] / itemsize;
    }
    return true;
}

}  // namespace sorgum::dlpack
