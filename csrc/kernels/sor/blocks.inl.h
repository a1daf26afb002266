#pragma once

#include "kernels/sor/block_fetch.inl.h"
#include "kernels/sor/block_rows.inl.h"

SORGUM_ISA_BEGIN

using namespace sorgum::sor;

// Whether all 16 rows of a block lie in [first, last), and wait for each other only one for the next.
template <bool backward, class T>
SORGUM_INLINE bool is_chain(const Blocks<T>& a, const Step<T>& step, index_t block, index_t first, index_t last) {
    const Pattern& pattern = pattern_of(a, block);
    const index_t row = block * kBlock;
    if (step.lower != nullptr || step.upper != nullptr || pattern.one_row || pattern.rows != kBlock || row < first ||
        row + kBlock > last)
        return false;
    if (backward)
        return pattern.inner_right == 0 ||
               (pattern.inner_right == 1 && a.slots[pattern.slots + pattern.left].offset == 1);
    return pattern.inner_left == 0 ||
           (pattern.inner_left == 1 && a.slots[pattern.slots + pattern.left - 1].offset == -1);
}

// The blocks of a range from the one that a sweep comes to first, and what it has to remember of the last one.
template <class T>
struct Walk {
    index_t first, last;  // rows
    index_t block, end;   // the next one, and where the walk ends
    bool known = false;   // whether `before` is what the last row was made
    T before = T(0);
    Pending<T> pending;
};

template <class T>
SORGUM_INLINE void keep_change(const Blocks<T>& a, const Step<T>& step, const T* x, vec<T> old, index_t row,
                               index_t low, index_t high, Pending<T>& pending) {
    if (step.change == nullptr)
        return;
    tell_change(a, step, x, pending);
    store(pending.before, old);
    pending.row = row;
    pending.low = low;
    pending.high = high;
}

// Blocks that are chains, as many as follow each other, up to one that is plain. A function of its own, like those for
// other blocks: in one together, registers are short for each (sweeps of grids took 1.05 to 1.25 times as long).
template <bool backward, class T>
__attribute__((noinline)) void sweep_chains(const Blocks<T>& a, const Step<T>& step, const T* b, T* x, Walk<T>& walk) {
    index_t block = walk.block;
    bool known = walk.known;
    T before = walk.before;
    do {
        fetch_ahead(a, step, b, x, backward, block);
        vec<T> old;
        sweep_chain<backward, false>(a, step, b, x, block, pattern_of(a, block), known, before, old);
        keep_change(a, step, x, old, block * kBlock, 0, kBlock, walk.pending);
        known = true;
        block += backward ? -1 : 1;
    } while (block != walk.end && !pattern_of(a, block).plain &&
             is_chain<backward>(a, step, block, walk.first, walk.last));
    walk.block = block;
    walk.known = known;
    walk.before = before;
}

// Blocks with one plain pattern, as many as follow each other.
template <bool backward, class T>
struct PlainChains {
    index_t number;
    Pattern pattern;
    index_t slots, far, ahead, block, end;
    bool known;
    T before;

    SORGUM_INLINE PlainChains(const Blocks<T>& a, const Step<T>& step, const Walk<T>& walk)
        : number(a.blocks[walk.block].pattern),
          pattern(a.patterns[number]),
          slots(pattern.left + pattern.right),
          far(farthest(a, backward, pattern)),
          ahead(backward ? -step.ahead : step.ahead),
          block(walk.block),
          // Only the last one may have rows beyond the range.
          end(backward ? (walk.first + kBlock - 1) / kBlock - 1 : walk.last / kBlock),
          known(walk.known),
          before(walk.before) {}

    SORGUM_INLINE void sweep_one(const Blocks<T>& a, const Step<T>& step, const T* b, T* x, Pending<T>& pending) {
        fetch_plain<backward>(a, b, x, block + ahead, slots, far);
        if (step.change != nullptr)
            fetch_lines(a.diagonal, (block + ahead) * kBlock, 1);
        vec<T> old;
        sweep_chain<backward, true>(a, step, b, x, block, pattern, known, before, old);
        keep_change(a, step, x, old, block * kBlock, 0, kBlock, pending);
        known = true;
        block += backward ? -1 : 1;
    }
    SORGUM_INLINE bool goes_on(const Blocks<T>& a) const { return block != end && a.blocks[block].pattern == number; }
    SORGUM_INLINE void leave(Walk<T>& walk) const {
        walk.block = block;
        walk.known = known;
        walk.before = before;
    }
};

template <bool backward, class T>
__attribute__((noinline)) void sweep_plain(const Blocks<T>& a, const Step<T>& given, const T* b, T* x, Walk<T>& walk) {
    const Step<T> step = given;  // which no store to x can change
    PlainChains<backward, T> chains(a, step, walk);
    do
        chains.sweep_one(a, step, b, x, walk.pending);
    while (chains.goes_on(a));
    chains.leave(walk);
}

// Two that do not depend on each other, in turn: the processor works on the next block of one while the rows of the
// other wait for each other.
template <bool backward, class T>
__attribute__((noinline)) void sweep_both(const Blocks<T>& a, const Part<T>& one, const Part<T>& other, const T* b,
                                          T* x, Walk<T>& first_walk, Walk<T>& second_walk) {
    const Step<T> first_step = one.step, second_step = other.step;
    PlainChains<backward, T> first(a, first_step, first_walk), second(a, second_step, second_walk);
    do {
        first.sweep_one(a, first_step, b, x, first_walk.pending);
        second.sweep_one(a, second_step, b, x, second_walk.pending);
    } while (first.goes_on(a) && second.goes_on(a));
    first.leave(first_walk);
    second.leave(second_walk);
}

template <bool backward, bool one_row, class T>
__attribute__((noinline)) void sweep_other(const Blocks<T>& a, const Step<T>& step, const T* b, T* x, Walk<T>& walk) {
    const index_t block = walk.block, row = block * kBlock, rows = pattern_of(a, block).rows;
    const index_t low = walk.first > row ? walk.first - row : 0, high = walk.last - row < rows ? walk.last - row : rows;
    fetch_ahead(a, step, b, x, backward, block);
    vec<T> old;
    sweep_block<backward, one_row>(a, step, b, x, block, low, high, old);
    keep_change(a, step, x, old, row, low, high, walk.pending);
    walk.known = false;
    walk.block += backward ? -1 : 1;
}

template <bool backward, class T>
SORGUM_INLINE Walk<T> walk_of(index_t first, index_t last) {
    const index_t low = first / kBlock, high = (last + kBlock - 1) / kBlock;
    return {first, last, backward ? high - 1 : low, backward ? low - 1 : high, false, T(0), {}};
}

template <bool backward, class T>
SORGUM_INLINE bool at_plain_chain(const Blocks<T>& a, const Step<T>& step, const Walk<T>& walk) {
    return pattern_of(a, walk.block).plain && is_chain<backward>(a, step, walk.block, walk.first, walk.last);
}

// At least one block.
template <bool backward, class T>
SORGUM_INLINE void sweep_some(const Blocks<T>& a, const Step<T>& step, const T* b, T* x, Walk<T>& walk) {
    if (at_plain_chain<backward>(a, step, walk))
        sweep_plain<backward>(a, step, b, x, walk);
    else if (is_chain<backward>(a, step, walk.block, walk.first, walk.last))
        sweep_chains<backward>(a, step, b, x, walk);
    else if (pattern_of(a, walk.block).one_row)
        sweep_other<backward, true>(a, step, b, x, walk);
    else
        sweep_other<backward, false>(a, step, b, x, walk);
}

template <bool backward, class T>
SORGUM_INLINE void sweep_rest(const Blocks<T>& a, const Step<T>& step, const T* b, T* x, Walk<T>& walk) {
    while (walk.block != walk.end)
        sweep_some<backward>(a, step, b, x, walk);
    if (step.change != nullptr)
        tell_change(a, step, x, walk.pending);
}

template <bool backward, class T>
SORGUM_INLINE void sweep_two(const Blocks<T>& a, const Part<T>& one, const Part<T>& other, const T* b, T* x) {
    Walk<T> first = walk_of<backward, T>(one.first, one.last), second = walk_of<backward, T>(other.first, other.last);
    while (first.block != first.end && second.block != second.end)
        if (!at_plain_chain<backward>(a, one.step, first))
            sweep_some<backward>(a, one.step, b, x, first);
        else if (!at_plain_chain<backward>(a, other.step, second))
            sweep_some<backward>(a, other.step, b, x, second);
        else
            sweep_both<backward>(a, one, other, b, x, first, second);
    sweep_rest<backward>(a, one.step, b, x, first);
    sweep_rest<backward>(a, other.step, b, x, second);
}

template <class T>
void blocks_sweep_kernel(const Blocks<T>& a, const Step<T>& step, const T* b, T* x, index_t first, index_t last) {
    if (step.backward) {
        Walk<T> walk = walk_of<true, T>(first, last);
        sweep_rest<true>(a, step, b, x, walk);
    } else {
        Walk<T> walk = walk_of<false, T>(first, last);
        sweep_rest<false>(a, step, b, x, walk);
    }
}

template <class T>
void blocks_sweep_two_kernel(const Blocks<T>& a, const Part<T>& one, const Part<T>& other, const T* b, T* x) {
    if (one.step.backward)
        sweep_two<true>(a, one, other, b, x);
    else
        sweep_two<false>(a, one, other, b, x);
}

template <bool one_row, class T>
SORGUM_INLINE void residual_of_block(const Blocks<T>& a, const T* b, const T* x, index_t block, double* r) {
    const Block& at_block = a.blocks[block];
    const Pattern& pattern = a.patterns[at_block.pattern];
    const index_t row = block * kBlock;
    AtSlot<T> at = {a.slots + pattern.slots, a.values + at_block.values * kBlock,
                    a.columns + at_block.columns * kBlock};
    f64x16 s = splat<f64x16>(0.0);
    const auto add = [&](index_t slots) SORGUM_LAMBDA {
        for (index_t k = 0; k < slots; ++k, at.next())
            s = add_slot<one_row>(at, x + row, at.present(), s);
    };
    add(pattern.left);
    s = fma(wide(load(a.diagonal + row) + splat<vec<T>>(a.shift)), wide(load_rows(x + row, pattern.rows)), s);
    add(pattern.right);
    store(r, wide(load_rows(b + row, pattern.rows)) - s);
}

template <class T>
void blocks_residual_kernel(const Blocks<T>& a, const T* b, const T* x, index_t first, index_t last, double* r) {
    for (index_t block = first; block < last; ++block) {
        if (block + kFetched < a.count)
            fetch_block(a, block + kFetched);
        double* const to = r + (block - first) * kBlock;
        if (pattern_of(a, block).one_row)
            residual_of_block<true>(a, b, x, block, to);
        else
            residual_of_block<false>(a, b, x, block, to);
    }
}

SORGUM_ISA_END
