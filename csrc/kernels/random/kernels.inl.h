// Every kernel of the family, for the units in csrc/isa.
#pragma once

#include "kernels/random/filter.inl.h"
#include "kernels/random/gamma.inl.h"
#include "kernels/random/gumbel_max.inl.h"
#include "kernels/random/inverse.inl.h"
#include "kernels/random/mix.inl.h"
#include "kernels/random/noise.inl.h"
