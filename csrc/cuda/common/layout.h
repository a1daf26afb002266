// Arrays of a device as rows that its kernels can take.
#pragma once

#include <vector>

#include "api/call/rows.h"

namespace sorgum::cuda {

// Blocks run in any order: what one has written must not be what another is to read.
void check_apart(const char* function, const char* argument, const ArrayView& a, const ArrayView& out, bool may_be_out);

// The operands of a call, the first of them x, as rows. A step that is the same for all rows leads to the next row; in
// the first `dense` operands a row's elements are adjacent.
RowLayout device_rows(const char* function, const ArrayView& x, const AxisMask& reduced,
                      const std::vector<ArrayView>& operands, const char* const* names, std::size_t dense);

}  // namespace sorgum::cuda
