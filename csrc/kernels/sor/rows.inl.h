#pragma once

#include "kernels/sor/blocks.inl.h"
#include "kernels/sor/rows.h"

SORGUM_ISA_BEGIN

using namespace sorgum::sor;

template <class T>
SORGUM_INLINE T bounded(const Step<T>& step, index_t row, T c) {
    if (step.lower != nullptr)
        c = max(step.lower[row], c);
    if (step.upper != nullptr)
        c = min(step.upper[row], c);
    return c;
}

// The step of blocks_sweep in one row, whose entries are looked up in its block's slots.
template <bool backward, class T>
SORGUM_INLINE void sweep_row(const Blocks<T>& a, const Step<T>& step, const T* b, T* x, index_t row) {
    const index_t block = row / kBlock, i = row % kBlock;
    const Block& at_block = a.blocks[block];
    const Pattern& pattern = a.patterns[at_block.pattern];
    const T* const here = x + block * kBlock;
    const unsigned own = 1u << i;
    const T inverse = a.inverse[row];
    T s = T(0), coefficient[kBlock];
    index_t column[kBlock], inner = 0;
    AtSlot<T> at = {a.slots + pattern.slots, a.values + at_block.values * kBlock,
                    a.columns + at_block.columns * kBlock};
    const auto add = [&](index_t slots) SORGUM_LAMBDA {
        for (index_t k = 0; k < slots; ++k, at.next()) {
            if ((at.slot->present & own) == 0)
                continue;
            if (at.slot->offset == kOneRow)
                for (index_t m = 0; m < kBlock; ++m)
                    s = fma(at.values[m], here[at.columns[m]], s);
            else
                s = fma(at.values[i], here[at.column_of(i)], s);
        }
    };
    // Slots that reach into the block from the side that the sweep comes from.
    const auto add_inner = [&](index_t slots) SORGUM_LAMBDA {
        for (index_t k = 0; k < slots; ++k, at.next()) {
            if ((at.slot->inner & own) != 0) {
                coefficient[inner] = -step.omega * (at.values[i] * inverse);
                column[inner++] = at.column_of(i);
            } else if ((at.slot->present & own) != 0) {
                s = fma(at.values[i], here[at.column_of(i)], s);
            }
        }
    };
    if (backward) {
        add(pattern.left);
        add_inner(pattern.inner_right);
        add(pattern.right - pattern.inner_right);
    } else {
        add(pattern.left - pattern.inner_left);
        add_inner(pattern.inner_left);
        add(pattern.right);
    }
    T c = fma(step.omega * inverse, b[row] - s, (T(1) - step.omega) * x[row]);
    for (index_t m = 0; m < inner; ++m) {
        const index_t slot = backward ? inner - 1 - m : m;
        c = fma(coefficient[slot], here[column[slot]], c);
    }
    x[row] = bounded(step, row, c);
}

// The same in some rows of a block, whose sums are formed for all 16.
template <bool backward, bool one_row, class T>
SORGUM_INLINE void sweep_lanes(const Blocks<T>& a, const Step<T>& step, const T* b, T* x, index_t block,
                               unsigned lanes) {
    using V = vec<T>;
    const index_t first_row = block * kBlock;
    T* const here = x + first_row;
    const V inverse = load(a.inverse + first_row);
    fetch_ahead(a, step, b, x, backward, block);  // who asks for several rows of a block goes on to the next ones
    AtSlot<T> slots[kBlock - 1];
    T coefficient[kBlock - 1][kBlock], y[kBlock];
    index_t inner = 0;
    const auto visit = [&](const AtSlot<T>& at, V s) SORGUM_LAMBDA {
        store(coefficient[inner], splat<V>(-step.omega) * (load(at.values) * inverse));
        slots[inner++] = at;
        const unsigned outer = at.slot->present & ~unsigned(at.slot->inner);
        return outer != 0 ? add_slot<false>(at, here, outer, s) : s;
    };
    V before;
    store(y, relax_outer<backward, one_row, false>(a, step, b, x, block, pattern_of(a, block), before, visit));
    for (unsigned left = lanes; left != 0;) {
        const index_t i = backward ? 31 - __builtin_clz(left) : __builtin_ctz(left);
        left &= ~(1u << i);
        T c = y[i];
        for (index_t m = 0; m < inner; ++m) {
            const index_t slot = backward ? inner - 1 - m : m;
            if ((slots[slot].slot->inner >> i & 1) != 0)
                c = fma(coefficient[slot][i], here[slots[slot].column_of(i)], c);
        }
        here[i] = bounded(step, first_row + i, c);
    }
}

// Rows that follow each other are left to blocks_sweep from so many on. Of fewer rows of a block than that each is
// computed by itself.
inline constexpr index_t kFollowing = 2 * kBlock, kFewRows = 3;

template <bool backward, class T>
SORGUM_INLINE void sweep_given(const Blocks<T>& a, const Step<T>& step, const T* b, T* x, const index_t* rows,
                               index_t count) {
    const auto row_at = [&](index_t k) SORGUM_LAMBDA { return rows[backward ? count - 1 - k : k]; };
    for (index_t k = 0, end; k < count; k = end) {
        const index_t first = row_at(k), block = first / kBlock;
        for (end = k + 1; end < count && row_at(end) == first + (backward ? k - end : end - k);)
            ++end;
        if (end - k >= kFollowing) {
            const index_t last = row_at(end - 1);
            blocks_sweep_kernel(a, step, b, x, backward ? last : first, (backward ? first : last) + 1);
            continue;
        }
        unsigned lanes = 1u << first % kBlock;
        for (end = k + 1; end < count && row_at(end) / kBlock == block; ++end) {
            const unsigned lane = 1u << row_at(end) % kBlock;
            if (backward ? lane >= (lanes & -lanes) : lane <= lanes)
                break;
            lanes |= lane;
        }
        if (end - k < kFewRows)
            for (; k < end; ++k)
                sweep_row<backward>(a, step, b, x, row_at(k));
        else if (pattern_of(a, block).one_row)
            sweep_lanes<backward, true>(a, step, b, x, block, lanes);
        else
            sweep_lanes<backward, false>(a, step, b, x, block, lanes);
    }
}

template <class T>
void rows_sweep_kernel(const Blocks<T>& a, const Step<T>& step, const T* b, T* x, const index_t* rows, index_t count) {
    if (step.backward)
        sweep_given<true>(a, step, b, x, rows, count);
    else
        sweep_given<false>(a, step, b, x, rows, count);
}

SORGUM_ISA_END
