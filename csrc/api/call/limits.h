// What memory and arithmetic allow at most here and now: work to be timed by the caller, on num_threads() threads.
#pragma once

#include "core/types.h"

namespace sorgum::limits {

// Reads a contiguous float32 array once; the value returned depends on every element and means nothing.
float read(const ArrayView& x);

// Copies between contiguous float32 arrays of the same size that do not overlap, with streaming stores.
void copy(const ArrayView& source, const ArrayView& target);

// Runs `iterations` multiply-adds in each of several independent chains of 16 lanes, in every thread, and returns how
// many floating-point operations these were. Call it with few and with many chains: the faster is the machine's peak.
double fma_peak(index_t iterations, bool many_chains);

}  // namespace sorgum::limits
