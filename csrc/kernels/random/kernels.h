// The signature of every kernel of the family.
#pragma once

#include "kernels/random/filter.h"
#include "kernels/random/gamma.h"
#include "kernels/random/gumbel_max.h"
#include "kernels/random/inverse.h"
#include "kernels/random/mix.h"
#include "kernels/random/noise.h"
