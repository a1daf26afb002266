// The signature of every kernel of the family.
#pragma once

#include "kernels/common/gather.h"
#include "kernels/common/half.h"
#include "kernels/common/stream.h"
