// Every kernel of the family, for the units in csrc/isa.
#pragma once

#include "kernels/memory/gather.inl.h"
#include "kernels/memory/half.inl.h"
#include "kernels/memory/stream.inl.h"
