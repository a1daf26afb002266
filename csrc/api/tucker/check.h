// What the functions of the family ask of their arguments.
#pragma once

#include "core/types.h"

namespace sorgum::tucker {

// The axis of a mode, which counts from the end where it is negative. Throws ValueError unless the array has it.
int axis_of(const char* function, const char* argument, const ArrayView& tensor, index_t mode);

// Whether elements follow each other in C order, at addresses that fit them.
bool is_contiguous(const ArrayView& view);
void check_contiguous(const char* function, const char* argument, const ArrayView& view);

}  // namespace sorgum::tucker
