// Every kernel of the family, for the units in csrc/isa.
#pragma once

#include "kernels/special/columns.inl.h"
#include "kernels/special/elementwise.inl.h"
#include "kernels/special/grad_short_rows.inl.h"
#include "kernels/special/long_rows.inl.h"
#include "kernels/special/partial.inl.h"
#include "kernels/special/rows.inl.h"
#include "kernels/special/three_pass.inl.h"
#include "kernels/special/weighted.inl.h"
