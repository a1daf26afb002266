// The signature of every kernel of the family.
#pragma once

#include "kernels/lowrank/middle.h"
