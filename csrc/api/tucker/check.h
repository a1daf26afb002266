// What the functions of the family ask of their arguments.
#pragma once

#include "core/types.h"

namespace sorgum::tucker {

// The axis of a mode, which counts from the end where it is negative. Throws ValueError unless the array has it.
int axis_of(const char* function, const char* argument, const ArrayView& tensor, index_t mode);

}  // namespace sorgum::tucker
