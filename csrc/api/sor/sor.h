// The functions of the family for the bindings: they check all that they are given.
#pragma once

#include "api/sor/csr.h"
#include "core/types.h"

namespace sorgum::sor {

// ||b - A x||, the 2-norm. x and b are vectors of the type of A's values.
double residual_norm(const CsrArrays& a, const ArrayView& x, const ArrayView& b);

}  // namespace sorgum::sor
