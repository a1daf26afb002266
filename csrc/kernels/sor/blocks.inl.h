#pragma once

#include "kernels/sor/block_slots.inl.h"

SORGUM_ISA_BEGIN

using namespace sorgum::sor;

// What is left out of the sums of a block: coefficients, and the rows of the block that they multiply.
template <class T>
struct Inner {
    T coefficient[15][kBlock];
    std::int32_t row[15][kBlock];
    index_t slots = 0;
};

// Where a row has no entry -0 times a 1 is added, which stands behind the rows: that changes no number.
template <class T>
SORGUM_INLINE void keep_inner(const AtSlot<T>& at, T omega, vec<T> inverse, Inner<T>& inner) {
    const unsigned lanes = at.slot->inner;
    const vec<T> product = splat<vec<T>>(-omega) * (load(at.values) * inverse);
    store(inner.coefficient[inner.slots], select_bits(lanes, product, splat<vec<T>>(T(-0.0))));
    for (int i = 0; i < kBlock; ++i) {
        const index_t row = column_of(at, i);
        inner.row[inner.slots][i] = static_cast<std::int32_t>((lanes >> i & 1) != 0 ? row : kBlock);
    }
    ++inner.slots;
}

// Row by row in the order of the sweep; y has what the rows are now, and a 1 behind them.
template <bool backward, class T>
SORGUM_INLINE void subtract_inner(const Inner<T>& inner, const Step<T>& step, index_t first_row, index_t low,
                                  index_t high, T* y) {
    for (index_t k = 0; k < high - low; ++k) {
        const index_t i = backward ? high - 1 - k : low + k;
        T c = y[i];
        for (index_t m = 0; m < inner.slots; ++m) {
            const index_t slot = backward ? inner.slots - 1 - m : m;
            c = fma(inner.coefficient[slot][i], y[inner.row[slot][i]], c);
        }
        if (step.lower != nullptr)
            c = max(step.lower[first_row + i], c);
        if (step.upper != nullptr)
            c = min(step.upper[first_row + i], c);
        y[i] = c;
    }
}

// What x was in the rows of a block, until what has become of it is told. That is done a block later: rows are stored
// one by one, and a vector is not to be read from them before they are in the cache.
template <class T>
struct Pending {
    T before[kBlock];
    index_t row, low, high = 0;
};

template <class T>
SORGUM_INLINE void tell_change(const Blocks<T>& a, const Step<T>& step, const T* x, const Pending<T>& pending) {
    if (pending.high == 0)
        return;
    const index_t row = pending.row, low = pending.low, count = pending.high - low;
    const vec<T> diagonal = load(a.diagonal + row) + splat<vec<T>>(a.shift);
    const bool whole = count == kBlock;
    const vec<T> now = whole ? load(x + row) : load_first(x + row, pending.high, T(0));
    const f64x16 change = wide(diagonal) * wide(now - load(pending.before));
    double* const to = step.change + (row - step.change_first);
    if (whole) {
        store(to, change);
        return;
    }
    double lanes[kBlock];
    store(lanes, change);
    store_first(to + low, load_first(lanes + low, count, 0.0), count);
}

// The sums of the rows of a block, and b - s with x: what rows are before the block's own columns are subtracted. Calls
// visit(slot, s) for slots that reach into the block from the side that the sweep comes from.
template <bool backward, bool one_row, class T, class Visit>
SORGUM_INLINE vec<T> relax_outer(const Blocks<T>& a, const Step<T>& step, const T* b, const T* x, index_t block,
                                 index_t rows, vec<T>& before, Visit&& visit) {
    using V = vec<T>;
    const Block& at_block = a.blocks[block];
    const Pattern& pattern = a.patterns[at_block.pattern];
    const index_t row = block * kBlock;
    const T* const here = x + row;
    AtSlot<T> at = {a.slots + pattern.slots, a.values + at_block.values * kBlock,
                    a.columns + at_block.columns * kBlock};
    V s = splat<V>(T(0));
    const auto add = [&](index_t slots) SORGUM_LAMBDA {
        for (index_t k = 0; k < slots; ++k, at.next())
            s = add_slot<one_row>(at, here, at.slot->present, s);
    };
    const auto add_inner = [&](index_t slots) SORGUM_LAMBDA {
        for (index_t k = 0; k < slots; ++k, at.next())
            s = visit(at, s);
    };
    if (!backward) {
        add(pattern.left - pattern.inner_left);
        add_inner(pattern.inner_left);
        if (!step.half)
            add(pattern.right);
    } else {
        if (step.half)
            for (index_t k = 0; k < pattern.left; ++k)
                at.next();
        else
            add(pattern.left);
        add_inner(pattern.inner_right);
        add(pattern.right - pattern.inner_right);
    }
    before = step.half ? splat<V>(T(0)) : load_rows(here, rows);
    const V kept = splat<V>(T(1) - step.omega) * before;
    return fma(splat<V>(step.omega) * load(a.inverse + row), load_rows(b + row, rows) - s, kept);
}

// Any block, of which the rows [low, high) are relaxed.
template <bool backward, bool one_row, class T>
SORGUM_INLINE void sweep_block(const Blocks<T>& a, const Step<T>& step, const T* b, T* x, index_t block, index_t low,
                               index_t high, vec<T>& before) {
    using V = vec<T>;
    const index_t row = block * kBlock;
    T* const here = x + row;
    const V inverse = load(a.inverse + row);
    Inner<T> inner;
    const auto visit = [&](const AtSlot<T>& at, V s) SORGUM_LAMBDA {
        keep_inner(at, step.omega, inverse, inner);
        const unsigned outer = at.slot->present & ~unsigned(at.slot->inner);
        return outer != 0 ? add_slot<false>(at, here, outer, s) : s;
    };
    T y[kBlock + 1];
    const index_t rows = a.patterns[a.blocks[block].pattern].rows;
    store(y, relax_outer<backward, one_row>(a, step, b, x, block, rows, before, visit));
    y[kBlock] = T(1);
    for (index_t i = 0; i < low; ++i)
        y[i] = here[i];
    for (index_t i = high; i < rows; ++i)
        y[i] = here[i];
    subtract_inner<backward>(inner, step, row, low, high, y);
    store_first(here + low, load_first(y + low, high - low, T(0)), high - low);
}

// Of a row that is computed by itself at most so many entries may stand behind its neighbour: more take longer one by
// one than waiting for the row before does.
inline constexpr index_t kFewOthers = 4;

// The same where a row has at most its neighbour, the row before it in the order of the sweep, for a column of the
// block: one fma per row is all that rows wait for each other. The first row's neighbour is the last one of the block
// before. That row alone is computed by itself where that is no long work, so that nothing of what is done for 16 rows
// at a time has to wait for it. `last` is what the row before is now, if that is known; then what the block's last row
// is.
template <bool backward, class T>
SORGUM_INLINE void sweep_chain(const Blocks<T>& a, const Step<T>& step, const T* b, T* x, index_t block, bool known,
                               T& last, vec<T>& before) {
    using V = vec<T>;
    constexpr index_t first = backward ? kBlock - 1 : 0, ahead = backward ? -1 : 1;
    constexpr unsigned first_lane = 1u << first;
    const index_t row = block * kBlock;
    T* const here = x + row;
    const V inverse = load(a.inverse + row);
    const Pattern& pattern = a.patterns[a.blocks[block].pattern];
    const index_t others = backward ? pattern.right - 1 : step.half ? 0 : pattern.right;
    unsigned linked = 0;
    AtSlot<T> link = {nullptr, nullptr, nullptr};
    alignas(64) T coefficient[kBlock], sums[kBlock], y[kBlock];
    const auto visit = [&](const AtSlot<T>& at, V s) SORGUM_LAMBDA {
        link = at;
        linked = at.slot->inner;
        const V values = load(at.values);
        store(coefficient, splat<V>(-step.omega) * (values * inverse));
        if (others > kFewOthers && (at.slot->present & first_lane) != 0)
            return select_bits(first_lane, fma(values, splat<V>(known ? last : here[first - ahead]), s), s);
        store(sums, s);
        return s;
    };
    const V c = relax_outer<backward, false>(a, step, b, x, block, kBlock, before, visit);
    if (link.slot == nullptr) {
        store(here, c);
        last = backward ? here[0] : here[kBlock - 1];
        return;
    }
    store(y, c);
    T now = y[first];
    if (others <= kFewOthers && (link.slot->present & first_lane) != 0) {
        T s = fma(link.values[first], known ? last : here[first - ahead], sums[first]);
        for (index_t k = 0; k < others; ++k) {
            link.next();
            if ((link.slot->present & first_lane) != 0)
                s = fma(link.values[first], here[column_of(link, first)], s);
        }
        const T old = step.half ? T(0) : here[first];
        now = fma(step.omega * a.inverse[row + first], b[row + first] - s, (T(1) - step.omega) * old);
    }
    here[first] = now;
    if (linked == (kAllLanes & ~first_lane)) {
#pragma GCC unroll 15
        for (index_t k = 1; k < kBlock; ++k) {
            const index_t i = first + k * ahead;
            now = fma(coefficient[i], now, y[i]);
            here[i] = now;
        }
    } else {
        for (index_t k = 1; k < kBlock; ++k) {
            const index_t i = first + k * ahead;
            now = (linked >> i & 1) != 0 ? fma(coefficient[i], now, y[i]) : y[i];
            here[i] = now;
        }
    }
    last = now;
}

// Blocks are fetched ahead of the one that is swept, by hand: the chains keep the processor from looking ahead by
// itself, and what is read block by block from high to low addresses it hardly sees coming. A block of a grid takes 4
// to 30 lines; long rows lie in few streams of memory, which it finds.
inline constexpr index_t kMostLines = 64;
inline constexpr index_t kFetched = 16;  // blocks ahead, by residuals

template <class T>
SORGUM_INLINE void fetch_lines(const T* base, index_t first, index_t slots) {
    const index_t lines = slots * kBlock * index_t(sizeof(T)) / 64;
    const std::uintptr_t from = reinterpret_cast<std::uintptr_t>(base) +
                                static_cast<std::uintptr_t>(first) * sizeof(T);  // beyond the array, perhaps
    for (index_t k = 0; k < (lines < kMostLines ? lines : kMostLines); ++k)
        prefetch(reinterpret_cast<const void*>(from + 64 * static_cast<std::uintptr_t>(k)));
}

template <class T>
SORGUM_INLINE void fetch_block(const Blocks<T>& a, index_t block) {
    const Block &at = a.blocks[block], &next = a.blocks[block + 1];
    fetch_lines(a.values, at.values * kBlock, next.values - at.values);
    fetch_lines(a.columns, at.columns * kBlock, next.columns - at.columns);
}

// Of x what no earlier block of the sweep has read: the farthest columns on the side that lies ahead.
template <class T>
SORGUM_INLINE void fetch_vectors(const Blocks<T>& a, bool backward, const T* b, const T* x, index_t block) {
    const Pattern& pattern = a.patterns[a.blocks[block].pattern];
    const index_t slots = pattern.left + pattern.right, row = block * kBlock;
    fetch_lines(b, row, 1);
    fetch_lines(a.inverse, row, 1);
    if (slots == 0)
        return;
    const index_t offset = a.slots[pattern.slots + (backward ? 0 : slots - 1)].offset;
    if (offset > kOneRow)
        fetch_lines(x, row + offset, 1);
}

// Whether all 16 rows of a block lie in [first, last), and wait for each other only one for the next.
template <bool backward, class T>
SORGUM_INLINE bool is_chain(const Blocks<T>& a, const Step<T>& step, index_t block, index_t first, index_t last) {
    const Pattern& pattern = a.patterns[a.blocks[block].pattern];
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
SORGUM_INLINE void fetch_ahead(const Blocks<T>& a, const Step<T>& step, const T* b, const T* x, bool backward,
                               index_t block) {
    const index_t ahead = backward ? block - step.ahead : block + step.ahead;
    if (ahead >= 0 && ahead < a.count) {
        fetch_block(a, ahead);
        fetch_vectors(a, backward, b, x, ahead);
    }
}

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

// Blocks that are chains, as many as follow each other. A function of its own, like that for other blocks: in one
// together, registers are short for either (sweeps of grids took 1.05 to 1.25 times as long).
template <bool backward, class T>
__attribute__((noinline)) void sweep_chains(const Blocks<T>& a, const Step<T>& step, const T* b, T* x, Walk<T>& walk) {
    constexpr index_t ahead = backward ? -1 : 1;
    index_t block = walk.block;
    bool known = walk.known;
    T before = walk.before;
    do {
        fetch_ahead(a, step, b, x, backward, block);
        vec<T> old;
        sweep_chain<backward>(a, step, b, x, block, known, before, old);
        keep_change(a, step, x, old, block * kBlock, 0, kBlock, walk.pending);
        known = true;
        block += ahead;
    } while (block != walk.end && is_chain<backward>(a, step, block, walk.first, walk.last));
    walk.block = block;
    walk.known = known;
    walk.before = before;
}

template <bool backward, bool one_row, class T>
__attribute__((noinline)) void sweep_other(const Blocks<T>& a, const Step<T>& step, const T* b, T* x, Walk<T>& walk) {
    const index_t block = walk.block, row = block * kBlock, rows = a.patterns[a.blocks[block].pattern].rows;
    const index_t low = walk.first > row ? walk.first - row : 0, high = walk.last - row < rows ? walk.last - row : rows;
    fetch_ahead(a, step, b, x, backward, block);
    vec<T> old;
    sweep_block<backward, one_row>(a, step, b, x, block, low, high, old);
    keep_change(a, step, x, old, row, low, high, walk.pending);
    walk.known = false;
    walk.block += backward ? -1 : 1;
}

template <bool backward, class T>
SORGUM_INLINE void sweep_blocks(const Blocks<T>& a, const Step<T>& step, const T* b, T* x, index_t first,
                                index_t last) {
    const index_t low = first / kBlock, high = (last + kBlock - 1) / kBlock;
    Walk<T> walk;
    walk.first = first;
    walk.last = last;
    walk.block = backward ? high - 1 : low;
    walk.end = backward ? low - 1 : high;
    while (walk.block != walk.end)
        if (is_chain<backward>(a, step, walk.block, first, last))
            sweep_chains<backward>(a, step, b, x, walk);
        else if (a.patterns[a.blocks[walk.block].pattern].one_row)
            sweep_other<backward, true>(a, step, b, x, walk);
        else
            sweep_other<backward, false>(a, step, b, x, walk);
    if (step.change != nullptr)
        tell_change(a, step, x, walk.pending);
}

template <class T>
void blocks_sweep_kernel(const Blocks<T>& a, const Step<T>& step, const T* b, T* x, index_t first, index_t last) {
    if (step.backward)
        sweep_blocks<true>(a, step, b, x, first, last);
    else
        sweep_blocks<false>(a, step, b, x, first, last);
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
            s = add_slot<one_row>(at, x + row, at.slot->present, s);
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
        if (a.patterns[a.blocks[block].pattern].one_row)
            residual_of_block<true>(a, b, x, block, to);
        else
            residual_of_block<false>(a, b, x, block, to);
    }
}

SORGUM_ISA_END
