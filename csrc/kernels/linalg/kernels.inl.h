// Every kernel of the layer, for the units in csrc/isa.
#pragma once

#include "kernels/linalg/combination.inl.h"
#include "kernels/linalg/gram.inl.h"
#include "kernels/linalg/magnitude.inl.h"
#include "kernels/linalg/pack.inl.h"
#include "kernels/linalg/product.inl.h"
#include "kernels/linalg/squares.inl.h"
