// The signature of every kernel of the family.
#pragma once

#include "kernels/sor/batch.h"
#include "kernels/sor/blocks.h"
#include "kernels/sor/csr.h"
#include "kernels/sor/diagonal.h"
#include "kernels/sor/packed.h"
#include "kernels/sor/point_blocks.h"
#include "kernels/sor/rows.h"
#include "kernels/sor/squares.h"
#include "kernels/sor/stencil.h"
#include "kernels/sor/vectors.h"
