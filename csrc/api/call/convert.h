// The half types as float32 and back.
#pragma once

#include "core/types.h"

namespace sorgum {

// out = x, rounded once where that is narrower; each has float32 or a half type. out may be x.
void convert(const ArrayView& x, const ArrayView& out);

}  // namespace sorgum
