#include "api/tucker/check.h"

#include <string>

#include "api/call/rows.h"
#include "api/call/work.h"
#include "core/error.h"

namespace sorgum::tucker {

int axis_of(const char* function, const char* argument, const ArrayView& tensor, index_t mode) {
    const index_t ndim = tensor.ndim;
    if (ndim == 0)
        throw ValueError(std::string(function) + ": " + argument + " must have an axis, got a scalar");
    if (mode < -ndim || mode >= ndim)
        throw ValueError(std::string(function) + ": mode must be in [" + std::to_string(-ndim) + ", " +
                         std::to_string(ndim) + "), got " + std::to_string(mode));
    return static_cast<int>(mode < 0 ? mode + ndim : mode);
}

bool is_contiguous(const ArrayView& view) {
    const index_t size = element_size(view.dtype);
    bool contiguous = reinterpret_cast<std::uintptr_t>(view.data) % static_cast<std::uintptr_t>(size) == 0;
    index_t stride = size;
    for (int d = view.ndim; d-- > 0;) {
        if (view.shape[d] == 0)
            return true;
        contiguous = contiguous && (view.shape[d] == 1 || view.strides[d] == stride);
        stride = saturated_product(stride, view.shape[d]);
    }
    return contiguous;
}

void check_contiguous(const char* function, const char* argument, const ArrayView& view) {
    if (!is_contiguous(view))
        throw ValueError(std::string(function) + ": " + argument +
                         " must be contiguous and aligned, got strides that are not");
}

}  // namespace sorgum::tucker
