// The step of relaxation in the rows of one block.
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
        const index_t row = at.column_of(i);
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
template <bool backward, bool one_row, bool plain, class T, class Visit>
SORGUM_INLINE vec<T> relax_outer(const Blocks<T>& a, const Step<T>& step, const T* b, const T* x, index_t block,
                                 const Pattern& pattern, vec<T>& before, Visit&& visit) {
    using V = vec<T>;
    const Block& at_block = a.blocks[block];
    const index_t row = block * kBlock, rows = plain ? kBlock : pattern.rows;
    const T* const here = x + row;
    AtSlot<T, plain> at = {a.slots + pattern.slots, a.values + at_block.values * kBlock,
                           a.columns + at_block.columns * kBlock};
    V s = splat<V>(T(0));
    const auto add = [&](index_t slots) SORGUM_LAMBDA {
        for (index_t k = 0; k < slots; ++k, at.next())
            s = add_slot<one_row>(at, here, at.present(), s);
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
    const Pattern& pattern = pattern_of(a, block);
    const index_t rows = pattern.rows;
    store(y, relax_outer<backward, one_row, false>(a, step, b, x, block, pattern, before, visit));
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
template <bool backward, bool plain, class T>
SORGUM_INLINE void sweep_chain(const Blocks<T>& a, const Step<T>& step, const T* b, T* x, index_t block,
                               const Pattern& pattern, bool known, T& last, vec<T>& before) {
    using V = vec<T>;
    constexpr index_t first = backward ? kBlock - 1 : 0, ahead = backward ? -1 : 1;
    constexpr unsigned first_lane = 1u << first;
    const index_t row = block * kBlock;
    T* const here = x + row;
    const V inverse = load(a.inverse + row);
    const index_t others = backward ? pattern.right - 1 : step.half ? 0 : pattern.right;
    unsigned linked = 0;
    AtSlot<T, plain> link = {nullptr, nullptr, nullptr};
    alignas(64) T coefficient[kBlock], sums[kBlock], y[kBlock];
    const auto visit = [&](const AtSlot<T, plain>& at, V s) SORGUM_LAMBDA {
        link = at;
        linked = plain ? kAllLanes & ~first_lane : at.slot->inner;
        const V values = load(at.values);
        store(coefficient, splat<V>(-step.omega) * (values * inverse));
        if (others > kFewOthers && (at.present() & first_lane) != 0)
            return select_bits(first_lane, fma(values, splat<V>(known ? last : here[first - ahead]), s), s);
        store(sums, s);
        return s;
    };
    const V c = relax_outer<backward, false, plain>(a, step, b, x, block, pattern, before, visit);
    if (link.slot == nullptr) {
        store(here, c);
        last = backward ? here[0] : here[kBlock - 1];
        return;
    }
    store(y, c);
    T now = y[first];
    if (others <= kFewOthers && (link.present() & first_lane) != 0) {
        T s = fma(link.values[first], known ? last : here[first - ahead], sums[first]);
        for (index_t k = 0; k < others; ++k) {
            link.next();
            if ((link.present() & first_lane) != 0)
                s = fma(link.values[first], here[link.column_of(first)], s);
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

SORGUM_ISA_END
