// The signature of every kernel of the layer.
#pragma once

#include "kernels/linalg/combination.h"
#include "kernels/linalg/gram.h"
#include "kernels/linalg/magnitude.h"
#include "kernels/linalg/pack.h"
#include "kernels/linalg/product.h"
#include "kernels/linalg/squares.h"
