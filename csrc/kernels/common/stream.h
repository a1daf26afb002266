// Kernels that measure the machine: what memory and arithmetic allow at most.
//
// computes  read: consumes every element, and returns a value that depends on all of them; copy: y[i] = x[i];
//           fma_chains: iterations of independent chains of multiply-adds
// source    McCalpin 1995, "Memory Bandwidth and Machine Balance in Current High Performance Computers" (STREAM);
//           Williams, Waterman and Patterson 2009, "Roofline". Unlike STREAM's, the copy streams past the caches
// shapes    contiguous; y does not overlap x
// order     read: kReadSums sums; their value means nothing
// bound     none
// special   none: NaN and infinities pass through
// cost      read: one read per element; copy: one read, one streaming write; fma_chains: no memory,
//           2 x 16 flops per chain and iteration
#pragma once

#include "core/types.h"

namespace sorgum::common {

inline constexpr int kReadSums = 8;

// How far ahead of its writes the copy reads. Measured, in ns per float32 and core with DDR5: 0.43 at 1 to 16 KB, 0.38
// at 64 KB; the second level cache holds it everywhere.
inline constexpr index_t kCopyAheadBytes = 65536;

// Two lengths of register file are served: 12 chains of 16 lanes need 12 registers of 512 bits; 6 need 12 of 256 bits.
// Both exceed the product of latency and units of the processors known (4 x 2). The faster of the two is the peak.
inline constexpr int kManyChains = 12;
inline constexpr int kFewChains = 6;

template <class T>
using read_fn = T(const T* x, index_t n);

template <class T>
using copy_fn = void(const T* x, T* y, index_t n);

// Runs kManyChains chains, or kFewChains.
template <class T>
using fma_chains_fn = T(index_t iterations, bool many);

}  // namespace sorgum::common
