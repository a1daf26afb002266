// Every kernel of the family, for the units in csrc/isa.
#pragma once

#include "kernels/lowrank/middle.inl.h"
#include "kernels/lowrank/random_basis.inl.h"
