#include "cuda/common/layout.h"

#include <algorithm>

#include "api/call/extent.h"

namespace sorgum::cuda {

void check_apart(const char* function, const char* argument, const ArrayView& a, const ArrayView& out,
                 bool may_be_out) {
    if (!are_apart(a, out) && !(may_be_out && same_layout(a, out)))
        throw ValueError(std::string(function) + ": out must " +
                         (may_be_out ? std::string("be ") + argument + " itself or " : std::string()) +
                         "share no memory with " + argument + " on a CUDA device, got arrays that overlap");
}

RowLayout device_rows(const char* function, const ArrayView& x, const AxisMask& reduced,
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
