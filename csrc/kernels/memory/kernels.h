// The signature of every kernel of the family.
#pragma once

#include "kernels/memory/gather.h"
#include "kernels/memory/half.h"
#include "kernels/memory/stream.h"
