// Slots of a block, and what one adds to the sums of its rows.
#pragma once

#include "kernels/sor/blocks.h"
#include "simd/simd.h"

SORGUM_ISA_BEGIN

using namespace sorgum::sor;

inline constexpr unsigned kAllLanes = 0xFFFF;

template <class T>
SORGUM_INLINE const Pattern& pattern_of(const Blocks<T>& a, index_t block) {
    return a.patterns[a.blocks[block].pattern];
}

// At a slot of a block, whose values and columns go on with it. Where the block is plain, nothing has to be asked.
template <class T, bool plain = false>
struct AtSlot {
    const Slot* slot;
    const T* values;
    const std::int32_t* columns;

    SORGUM_INLINE unsigned present() const { return plain ? 0xFFFF : slot->present; }
    SORGUM_INLINE bool gathered() const { return !plain && slot->offset == kGathered; }
    // The column of a row's entry, counted from the block's first row.
    SORGUM_INLINE index_t column_of(index_t i) const { return gathered() ? columns[i] : i + slot->offset; }
    SORGUM_INLINE void next() {
        if (!plain)
            columns += slot->offset <= kOneRow ? kBlock : 0;
        values += kBlock;
        ++slot;
    }
};

// What masks are needed for is rare, and they cost more than the branch.
template <class T>
SORGUM_INLINE vec<T> load_rows(const T* p, index_t rows) {
    return rows == kBlock ? load(p) : load_first(p, rows, T(0));
}

// The chain of one row goes on over 16 entries. Rare and long: it stays out of the loops that call it.
template <class T, class Number>
__attribute__((noinline)) void add_one_row(const AtSlot<T>& at, const T* x, Number* lanes) {
    const int row = __builtin_ctz(at.slot->present);
    Number sum = lanes[row];
    for (int k = 0; k < kBlock; ++k)
        sum = fma(static_cast<Number>(at.values[k]), static_cast<Number>(x[at.columns[k]]), sum);
    lanes[row] = sum;
}

SORGUM_INLINE f64x16 wide(f64x16 a) { return a; }
SORGUM_INLINE f64x16 wide(f32x16 a) { return widen(a); }
template <class V>
SORGUM_INLINE V like(V a, V) {
    return a;
}
SORGUM_INLINE f64x16 like(f32x16 a, f64x16) { return widen(a); }

// In T or in float64. Loops over slots of which none is of one row do without the question.
template <bool one_row, class T, bool plain, class V>
SORGUM_INLINE V add_slot(const AtSlot<T, plain>& at, const T* x, unsigned lanes, V s) {
    const index_t offset = at.slot->offset;
    if constexpr (one_row)
        if (offset == kOneRow) {
            element_t<V> sums[kBlock];
            store(sums, s);
            add_one_row(at, x, sums);
            return load(sums);
        }
    const vec<T> of_x = at.gathered() ? gather(x, at.columns) : load(x + offset);
    const V sum = fma(like(load(at.values), s), like(of_x, s), s);
    return lanes == kAllLanes ? sum : select_bits(lanes, sum, s);
}

SORGUM_ISA_END
