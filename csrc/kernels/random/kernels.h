// The signature of every kernel of the family.
#pragma once

#include "kernels/random/noise.h"
