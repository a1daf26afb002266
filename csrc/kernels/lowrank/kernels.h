// The signature of every kernel of the family.
#pragma once

#include "kernels/lowrank/middle.h"
#include "kernels/lowrank/random_basis.h"
