#include "api/tucker/check.h"

#include <string>

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

}  // namespace sorgum::tucker
