// The signature of every kernel of the family.
#pragma once

#include "kernels/special/elementwise.h"
#include "kernels/special/grad.h"
#include "kernels/special/softmax.h"
