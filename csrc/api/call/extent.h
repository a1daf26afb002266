// Where the elements of an array lie in memory. Inline: a call of few elements asks all of this.
#pragma once

#include <string>

#include "api/call/rows.h"
#include "api/call/work.h"

namespace sorgum {

// The number of elements, at most INT64_MAX.
inline index_t size_of(const ArrayView& view) {
    index_t size = 1;
    for (int d = 0; d < view.ndim; ++d)
        size = view.shape[d] == 0 ? 0 : saturated_product(size, view.shape[d]);
    return size;
}

// Whether the elements follow each other in C order.
inline bool is_contiguous(const ArrayView& view) {
    index_t step = element_size(view.dtype);
    for (int d = view.ndim - 1; d >= 0; --d) {
        if (view.shape[d] != 1 && view.strides[d] != step)
            return false;
        step = saturated_product(step, view.shape[d]);
    }
    return true;
}

inline bool is_aligned(const ArrayView& view) {
    const auto size = static_cast<std::uintptr_t>(element_size(view.dtype));
    return reinterpret_cast<std::uintptr_t>(view.data) % size == 0;
}

// Gives the view the strides that make it contiguous.
inline void set_contiguous(ArrayView& view) {
    index_t step = element_size(view.dtype);
    for (int d = view.ndim - 1; d >= 0; --d) {
        view.strides[d] = step;
        step = saturated_product(step, view.shape[d]);
    }
}

// Whether the two have the shape and the strides of one array at one place.
inline bool same_layout(const ArrayView& a, const ArrayView& b) {
    bool same = a.data == b.data && a.ndim == b.ndim;
    for (int d = 0; same && d < a.ndim; ++d)
        same = a.shape[d] == b.shape[d] && (a.strides[d] == b.strides[d] || a.shape[d] == 1);
    return same;
}

// The bytes that an array spans, as an interval of addresses; empty where it has no elements.
struct Span {
    std::uintptr_t begin = 0, end = 0;
};
inline Span span_of(const ArrayView& view) {
    index_t low = 0, high = element_size(view.dtype);
    for (int d = 0; d < view.ndim; ++d) {
        if (view.shape[d] == 0)
            return {};
        (view.strides[d] < 0 ? low : high) += (view.shape[d] - 1) * view.strides[d];
    }
    const auto at = reinterpret_cast<std::uintptr_t>(view.data);
    return {at + static_cast<std::uintptr_t>(low), at + static_cast<std::uintptr_t>(high)};
}

// Whether arrays lie apart, as far as their spans tell.
inline bool are_apart(const ArrayView& a, const ArrayView& b) {
    const Span one = span_of(a), other = span_of(b);
    return one.end <= other.begin || other.end <= one.begin;
}

// The bytes of a new contiguous array that takes memory from the pool (core/memory_pool.h), 0 for a smaller one.
inline index_t pooled_bytes(const ArrayView& view) {
    const index_t bytes = saturated_product(size_of(view), element_size(view.dtype));
    return bytes >= static_cast<index_t>(kPooledFrom) && bytes < INT64_MAX ? bytes : 0;
}

// What is said where there is no memory for it.
inline std::string no_memory_text(const ArrayView& view) {
    return "no memory for a result of shape " + shape_text(view.shape, view.ndim) + " and dtype " +
           dtype_text(view.dtype) + ", " + std::to_string(saturated_product(size_of(view), element_size(view.dtype))) +
           " bytes";
}

}  // namespace sorgum
