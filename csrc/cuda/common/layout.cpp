#include "cuda/common/layout.h"

#include <algorithm>

namespace sorgum::cuda {

namespace {

// The bytes that an array spans, as an interval of addresses; empty where it has no elements.
struct Span {
    std::uintptr_t begin = 0, end = 0;
};

Span span_of(const ArrayView& a) {
    index_t low = 0, high = element_size(a.dtype);
    for (int d = 0; d < a.ndim; ++d) {
        if (a.shape[d] == 0)
            return {};
        (a.strides[d] < 0 ? low : high) += (a.shape[d] - 1) * a.strides[d];
    }
    const auto at = reinterpret_cast<std::uintptr_t>(a.data);
    return {at + static_cast<std::uintptr_t>(low), at + static_cast<std::uintptr_t>(high)};
}

bool same_layout(const ArrayView& a, const ArrayView& b) {
    bool same = a.data == b.data && a.ndim == b.ndim;
    for (int d = 0; same && d < a.ndim; ++d)
        same = a.shape[d] == b.shape[d] && (a.strides[d] == b.strides[d] || a.shape[d] == 1);
    return same;
}

}  // namespace

void check_apart(const char* function, const char* argument, const ArrayView& a, const ArrayView& out,
                 bool may_be_out) {
    const Span read = span_of(a), written = span_of(out);
    if (read.begin < written.end && written.begin < read.end && !(may_be_out && same_layout(a, out)))
        throw ValueError(std::string(function) + ": out must " +
                         (may_be_out ? std::string("be ") + argument + " itself or " : std::string()) +
                         "share no memory with " + argument + " on a CUDA device, got arrays that overlap");
}

RowLayout device_rows(const char* function, const ArrayView& x, const std::vector<bool>& reduced,
                      const std::vector<ArrayView>& operands, const char* const* names, std::size_t dense) {
    std::vector<ArrayView> some;
    RowLayout layout;
    for (std::size_t k = 0; k < operands.size(); ++k) {
        some.push_back(operands[k]);
        const Span span = span_of(x);
        if (span.begin == span.end && k != 1)  // no elements, whatever the strides
            std::fill_n(some[k].strides, x.ndim, 0);
        layout = make_rows(x, reduced, some);
        if (layout.outer.n > 1 || layout.inner.n > 1 ||
            (k < dense && span.begin != span.end &&
             !layout.contiguous(static_cast<int>(k), element_size(operands[k].dtype))))
            throw ValueError(std::string(function) + ": " + names[k] +
                             " must have rows of adjacent elements, all at one distance, on a CUDA device, got shape " +
                             shape_text(operands[k].shape, operands[k].ndim) + " with strides " +
                             shape_text(operands[k].strides, operands[k].ndim) + " in bytes");
    }
    return layout;
}

}  // namespace sorgum::cuda
