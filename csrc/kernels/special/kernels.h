// The signature of every kernel of the family, and its operations.
#pragma once

#include "kernels/special/elementwise.h"
#include "kernels/special/grad.h"
#include "kernels/special/softmax.h"
#include "math/operation_state.h"
