// What stands between the two factors of an adapter: an activation, a factor per component, a factor per row.
//
// computes  v[i][j] = activation(v[i][j]) factors[j] gates[i], i < rows, j < rank, each product rounded
// source    adapters with an activation: He et al. 2022, "Towards a Unified View of Parameter-Efficient Transfer
//           Learning", table 1; a diagonal between the factors: Zhang et al. 2023, "AdaLoRA", equation 3
// shapes    rows at a distance of pitch elements
// order     elementwise
// bound     relu exact; silu: x / (1 + exp(-x)), 4 ULP
// special   NaN stays NaN; silu(-inf) = 0 where exp(-x) overflows
// cost      one read, one write per element
#pragma once

#include "core/types.h"

namespace sorgum::lowrank {

enum class Activation : std::uint8_t { none, relu, silu };

// `factors` and `gates` may be null.
template <class T>
using middle_fn = void(T* v, index_t pitch, index_t rows, index_t rank, Activation activation, const T* factors,
                       const T* gates);

}  // namespace sorgum::lowrank
