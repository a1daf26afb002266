// The ways that a call may take once its arguments are checked, under FpGuard. All have the same bits.
#pragma once

#include "api/special/special.h"

namespace sorgum::special {

// The short cut: contiguous arrays so small that one thread computes them, rows along the last axis, no options. False
// for a call that takes another way.
bool run_small(Op op, const Arguments& a, const AxisMask& reduced);

void run_elements(Op op, const Arguments& a);
void run_rows(Op op, const Arguments& a, const AxisMask& reduced);
void run_grad(Op op, const Arguments& a, const AxisMask& reduced);  // of softmax and log_softmax

}  // namespace sorgum::special
