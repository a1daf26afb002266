// What a sweep reads of blocks is fetched before it comes to them.
#pragma once

#include "kernels/sor/block_slots.inl.h"

SORGUM_ISA_BEGIN

using namespace sorgum::sor;

// Blocks are fetched ahead of the one that is swept, by hand: the chains keep the processor from looking ahead by
// itself, and what is read block by block from high to low addresses it hardly sees coming. A block of a grid takes 4
// to 30 lines; long rows lie in few streams of memory, which it finds.
inline constexpr index_t kMostLines = 64;
inline constexpr index_t kLongBlock = 32;  // lines
inline constexpr index_t kFetched = 16;    // blocks ahead, by residuals

template <class T>
SORGUM_INLINE void fetch_lines(const T* base, index_t first, index_t slots) {
    const index_t lines = slots * kBlock * index_t(sizeof(T)) / 64;
    const std::uintptr_t from = reinterpret_cast<std::uintptr_t>(base) +
                                static_cast<std::uintptr_t>(first) * sizeof(T);  // beyond the array, perhaps
    for (index_t k = 0; k < (lines < kMostLines ? lines : kMostLines); ++k)
        prefetch(reinterpret_cast<const void*>(from + 64 * static_cast<std::uintptr_t>(k)));
}

// The same, the last line first. Blocks that are swept from high to low addresses lie behind each other that way, too:
// for long ones that takes 0.87 of the time, for short ones 1.02.
template <class T>
SORGUM_INLINE void fetch_lines_down(const T* base, index_t first, index_t slots) {
    const index_t lines = slots * kBlock * index_t(sizeof(T)) / 64;
    if (lines < kLongBlock || lines > kMostLines)
        return fetch_lines(base, first, slots);
    const std::uintptr_t from = reinterpret_cast<std::uintptr_t>(base) + static_cast<std::uintptr_t>(first) * sizeof(T);
    for (index_t k = lines; k > 0; --k)
        prefetch(reinterpret_cast<const void*>(from + 64 * static_cast<std::uintptr_t>(k - 1)));
}

template <class T>
SORGUM_INLINE void fetch_block(const Blocks<T>& a, index_t block) {
    const Block &at = a.blocks[block], &next = a.blocks[block + 1];
    fetch_lines(a.values, at.values * kBlock, next.values - at.values);
    fetch_lines(a.columns, at.columns * kBlock, next.columns - at.columns);
}

// The farthest columns on the side that lies ahead, as their distance from the row.
template <class T>
SORGUM_INLINE index_t farthest(const Blocks<T>& a, bool backward, const Pattern& pattern) {
    const index_t slots = pattern.left + pattern.right;
    return slots == 0 ? 0 : a.slots[pattern.slots + (backward ? 0 : slots - 1)].offset;
}

// Of x what no earlier block of the sweep has read.
template <class T>
SORGUM_INLINE void fetch_vectors(const Blocks<T>& a, bool backward, const T* b, const T* x, index_t block) {
    const index_t row = block * kBlock, far = farthest(a, backward, pattern_of(a, block));
    fetch_lines(b, row, 1);
    fetch_lines(a.inverse, row, 1);
    if (far > kOneRow)
        fetch_lines(x, row + far, 1);
}

template <class T>
SORGUM_INLINE void fetch_ahead(const Blocks<T>& a, const Step<T>& step, const T* b, const T* x, bool backward,
                               index_t block) {
    const index_t ahead = backward ? block - step.ahead : block + step.ahead;
    if (ahead >= 0 && ahead < a.count) {
        fetch_block(a, ahead);
        fetch_vectors(a, backward, b, x, ahead);
    }
}

// The same as fetch_ahead where the block is taken to have slots without columns, so many, and `far` for the farthest.
template <bool backward, class T>
SORGUM_INLINE void fetch_plain(const Blocks<T>& a, const T* b, const T* x, index_t block, index_t slots, index_t far) {
    if (block < 0 || block >= a.count)
        return;
    if (backward)
        fetch_lines_down(a.values, a.blocks[block].values * kBlock, slots);
    else
        fetch_lines(a.values, a.blocks[block].values * kBlock, slots);
    fetch_lines(b, block * kBlock, 1);
    fetch_lines(a.inverse, block * kBlock, 1);
    fetch_lines(x, block * kBlock + far, 1);
}

SORGUM_ISA_END
