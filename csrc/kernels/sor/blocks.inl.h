#pragma once

#include "kernels/sor/blocks.h"
#include "simd/simd.h"

SORGUM_ISA_BEGIN

using namespace sorgum::sor;

inline constexpr unsigned kAllLanes = 0xFFFF;

// At a slot of a block, whose values and columns go on with it.
template <class T>
struct AtSlot {
    const Slot* slot;
    const T* values;
    const std::int32_t* columns;

    SORGUM_INLINE void next() {
        columns += slot->offset == kGathered ? kBlock : 0;
        values += kBlock;
        ++slot;
    }
};

// x in the columns of a slot; `x` points to the block's first row.
template <class T>
SORGUM_INLINE vec<T> columns_of(const AtSlot<T>& at, const T* x) {
    return at.slot->offset == kGathered ? gather(x, at.columns) : load(x + at.slot->offset);
}

template <class T>
SORGUM_INLINE vec<T> add_slot(const AtSlot<T>& at, const T* x, unsigned lanes, vec<T> s) {
    const vec<T> sum = fma(load(at.values), columns_of(at, x), s);
    return lanes == kAllLanes ? sum : select_bits(lanes, sum, s);
}

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
    const bool gathered = at.slot->offset == kGathered;
    for (int i = 0; i < kBlock; ++i) {
        const index_t row = gathered ? at.columns[i] : i + at.slot->offset;
        inner.row[inner.slots][i] = static_cast<std::int32_t>((lanes >> i & 1) != 0 ? row : kBlock);
    }
    ++inner.slots;
}

// Row by row in the order of the sweep; y has what they are now, and a 1 behind.
template <bool backward, class T>
SORGUM_INLINE void subtract_inner(const Inner<T>& inner, const Step<T>& step, index_t first_row, index_t rows, T* y) {
    for (index_t k = 0; k < rows; ++k) {
        const index_t i = backward ? rows - 1 - k : k;
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

SORGUM_INLINE f64x16 wide(f64x16 a) { return a; }
SORGUM_INLINE f64x16 wide(f32x16 a) { return widen(a); }

template <class T>
SORGUM_INLINE void keep_change(const Blocks<T>& a, index_t row, index_t rows, vec<T> change, double* to) {
    const vec<T> diagonal = load(a.diagonal + row) + splat<vec<T>>(a.shift);
    const f64x16 scaled = wide(diagonal) * wide(change);
    store(to, select_bits((1u << rows) - 1, scaled, splat<f64x16>(0.0)));
}

template <bool backward, class T>
SORGUM_INLINE void sweep_block(const Blocks<T>& a, const Step<T>& step, const T* b, T* x, index_t block,
                               double* change) {
    using V = vec<T>;
    const Block& at_block = a.blocks[block];
    const Pattern& pattern = a.patterns[at_block.pattern];
    const index_t row = block * kBlock;
    AtSlot<T> at = {a.slots + pattern.slots, a.values + at_block.values * kBlock,
                    a.columns + at_block.columns * kBlock};
    T* const here = x + row;
    const V inverse = load(a.inverse + row);
    V s = splat<V>(T(0));
    Inner<T> inner;
    const auto add = [&](index_t slots) SORGUM_LAMBDA {
        for (index_t k = 0; k < slots; ++k, at.next())
            s = add_slot(at, here, at.slot->present, s);
    };
    const auto add_outer = [&](index_t slots) SORGUM_LAMBDA {
        for (index_t k = 0; k < slots; ++k, at.next()) {
            const unsigned outer = at.slot->present & ~unsigned(at.slot->inner);
            if (outer != 0)
                s = add_slot(at, here, outer, s);
            keep_inner(at, step.omega, inverse, inner);
        }
    };
    const auto pass = [&](index_t slots) SORGUM_LAMBDA {
        for (index_t k = 0; k < slots; ++k)
            at.next();
    };
    if (!backward) {
        add(pattern.left - pattern.inner_left);
        add_outer(pattern.inner_left);
        if (!step.half)
            add(pattern.right);
    } else {
        if (step.half)
            pass(pattern.left);
        else
            add(pattern.left);
        add_outer(pattern.inner_right);
        add(pattern.right - pattern.inner_right);
    }
    const V before = step.half ? splat<V>(T(0)) : load_first(here, pattern.rows, T(0));
    const V omega = splat<V>(step.omega), kept = splat<V>(T(1) - step.omega) * before;
    const V c = fma(omega * inverse, load_first(b + row, pattern.rows, T(0)) - s, kept);
    T y[kBlock + 1];
    store(y, c);
    y[kBlock] = T(1);
    subtract_inner<backward>(inner, step, row, pattern.rows, y);
    const V now = load(y);
    store_first(here, now, pattern.rows);
    if (change != nullptr)
        keep_change(a, row, pattern.rows, now - before, change);
}

// The same where a row has at most its neighbour, the row before it in the order of the sweep, for a column of the
// block: one fma per row is all that rows wait for each other. The neighbour of the first row is in the block before.
template <bool backward, class T>
SORGUM_INLINE void sweep_chain(const Blocks<T>& a, const Step<T>& step, const T* b, T* x, index_t block,
                               double* change) {
    using V = vec<T>;
    constexpr index_t first = backward ? kBlock - 1 : 0, ahead = backward ? -1 : 1;
    constexpr unsigned first_lane = 1u << first;
    const Block& at_block = a.blocks[block];
    const Pattern& pattern = a.patterns[at_block.pattern];
    const index_t row = block * kBlock;
    AtSlot<T> at = {a.slots + pattern.slots, a.values + at_block.values * kBlock,
                    a.columns + at_block.columns * kBlock};
    T* const here = x + row;
    const V inverse = load(a.inverse + row);
    V s = splat<V>(T(0));
    unsigned linked = 0;
    alignas(64) T coefficient[kBlock], y[kBlock];
    const auto add = [&](index_t slots) SORGUM_LAMBDA {
        for (index_t k = 0; k < slots; ++k, at.next())
            s = add_slot(at, here, at.slot->present, s);
    };
    const auto keep = [&](index_t slots) SORGUM_LAMBDA {
        if (slots == 0)
            return;
        const V values = load(at.values);
        if ((at.slot->present & first_lane) != 0)
            s = select_bits(first_lane, fma(values, splat<V>(here[first - ahead]), s), s);
        linked = at.slot->inner;
        store(coefficient, splat<V>(-step.omega) * (values * inverse));
        at.next();
    };
    if (!backward) {
        add(pattern.left - pattern.inner_left);
        keep(pattern.inner_left);
        if (!step.half)
            add(pattern.right);
    } else {
        if (step.half)
            for (index_t k = 0; k < pattern.left; ++k)
                at.next();
        else
            add(pattern.left);
        keep(pattern.inner_right);
        add(pattern.right - pattern.inner_right);
    }
    const V before = step.half ? splat<V>(T(0)) : load(here);
    const V kept = splat<V>(T(1) - step.omega) * before;
    store(y, fma(splat<V>(step.omega) * inverse, load(b + row) - s, kept));
    T last = y[first];
    here[first] = last;
    if (linked == (kAllLanes & ~first_lane)) {
#pragma GCC unroll 15
        for (index_t k = 1; k < kBlock; ++k) {
            const index_t i = first + k * ahead;
            last = fma(coefficient[i], last, y[i]);
            here[i] = last;
        }
    } else {
        for (index_t k = 1; k < kBlock; ++k) {
            const index_t i = first + k * ahead;
            last = (linked >> i & 1) != 0 ? fma(coefficient[i], last, y[i]) : y[i];
            here[i] = last;
        }
    }
    if (change != nullptr)
        keep_change(a, row, kBlock, load(here) - before, change);
}

// Processors see what is read from low to high addresses coming, but not from high to low where the lines of a block
// are read the other way. A block of grids takes 4 to 30 lines.
inline constexpr index_t kBlocksAhead = 16, kMostLines = 64;

template <class T>
SORGUM_INLINE void fetch_block(const Blocks<T>& a, index_t block) {
    const Pattern& pattern = a.patterns[a.blocks[block].pattern];
    const char* const from = reinterpret_cast<const char*>(a.values + a.blocks[block].values * kBlock);
    const index_t lines = (pattern.left + pattern.right) * index_t(sizeof(T)) / 4;
    for (index_t k = 0; k < (lines < kMostLines ? lines : kMostLines); ++k)
        prefetch(from + 64 * k);
}

template <class T>
SORGUM_INLINE bool is_chain(const Blocks<T>& a, const Step<T>& step, index_t block) {
    const Pattern& pattern = a.patterns[a.blocks[block].pattern];
    return pattern.rows == kBlock && step.lower == nullptr && step.upper == nullptr &&
           (step.backward ? pattern.inner_right == 0 ||
                                (pattern.inner_right == 1 && a.slots[pattern.slots + pattern.left].offset == 1)
                          : pattern.inner_left == 0 ||
                                (pattern.inner_left == 1 && a.slots[pattern.slots + pattern.left - 1].offset == -1));
}

template <class T>
void blocks_sweep_kernel(const Blocks<T>& a, const Step<T>& step, const T* b, T* x, index_t first, index_t last) {
    for (index_t k = first; k < last; ++k) {
        const index_t block = step.backward ? first + (last - 1 - k) : k;
        double* const change = step.change == nullptr ? nullptr : step.change + (block - first) * kBlock;
        const index_t ahead = step.backward ? block - kBlocksAhead : block + kBlocksAhead;
        if (ahead >= first && ahead < last)
            fetch_block(a, ahead);
        if (is_chain(a, step, block)) {
            if (step.backward)
                sweep_chain<true>(a, step, b, x, block, change);
            else
                sweep_chain<false>(a, step, b, x, block, change);
        } else if (step.backward)
            sweep_block<true>(a, step, b, x, block, change);
        else
            sweep_block<false>(a, step, b, x, block, change);
    }
}

template <class T>
SORGUM_INLINE void residual_of_block(const Blocks<T>& a, const T* b, const T* x, index_t block, double* r) {
    const Block& at_block = a.blocks[block];
    const Pattern& pattern = a.patterns[at_block.pattern];
    const index_t row = block * kBlock;
    AtSlot<T> at = {a.slots + pattern.slots, a.values + at_block.values * kBlock,
                    a.columns + at_block.columns * kBlock};
    f64x16 s = splat<f64x16>(0.0);
    const auto add = [&](index_t slots) SORGUM_LAMBDA {
        for (index_t k = 0; k < slots; ++k, at.next()) {
            const f64x16 sum = fma(wide(load(at.values)), wide(columns_of(at, x + row)), s);
            s = at.slot->present == kAllLanes ? sum : select_bits(at.slot->present, sum, s);
        }
    };
    add(pattern.left);
    s = fma(wide(load(a.diagonal + row) + splat<vec<T>>(a.shift)), wide(load_first(x + row, pattern.rows, T(0))), s);
    add(pattern.right);
    store(r, wide(load_first(b + row, pattern.rows, T(0))) - s);
}

template <class T>
void blocks_residual_kernel(const Blocks<T>& a, const T* b, const T* x, index_t first, index_t last, double* r) {
    for (index_t block = first; block < last; ++block)
        residual_of_block(a, b, x, block, r + (block - first) * kBlock);
}

SORGUM_ISA_END
