// Every kernel of the family, for the units in csrc/isa.
#pragma once

#include "kernels/common/gather.inl.h"
#include "kernels/common/half.inl.h"
#include "kernels/common/stream.inl.h"
