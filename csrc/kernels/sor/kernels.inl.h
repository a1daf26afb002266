// Every kernel of the family, for the units in csrc/isa.
#pragma once

#include "kernels/sor/batch.inl.h"
#include "kernels/sor/blocks.inl.h"
#include "kernels/sor/csr.inl.h"
#include "kernels/sor/diagonal.inl.h"
#include "kernels/sor/packed.inl.h"
#include "kernels/sor/point_blocks.inl.h"
#include "kernels/sor/rows.inl.h"
#include "kernels/sor/squares.inl.h"
#include "kernels/sor/stencil.inl.h"
#include "kernels/sor/vectors.inl.h"
