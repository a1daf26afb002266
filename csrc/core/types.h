// The structs that cross layers: 64-bit sizes, element types, views of arrays. No member functions, so that no
// translation unit emits code for them.
#pragma once

#include <cstdint>

namespace sorgum {

using index_t = std::int64_t;

enum class DType : std::uint8_t { f32, f64, boolean, i64, f16, bf16, i32 };

// Encodings that are only stored: IEEE 754 binary16, and the upper half of a binary32. Arithmetic on them is float32's.
struct float16 {
    std::uint16_t bits;
};
struct bfloat16 {
    std::uint16_t bits;
};

// The type in which numbers of a type are computed.
template <class T>
struct Computed {
    using type = T;
};
template <>
struct Computed<float16> {
    using type = float;
};
template <>
struct Computed<bfloat16> {
    using type = float;
};
template <class T>
using computed_t = typename Computed<T>::type;

inline constexpr int kMaxDims = 64;  // NumPy's own limit

// A view of an n-dimensional array. Strides are in bytes and may be zero or negative.
struct ArrayView {
    void* data;
    DType dtype;
    bool writable;
    int ndim;
    index_t shape[kMaxDims];
    index_t strides[kMaxDims];
};

}  // namespace sorgum
