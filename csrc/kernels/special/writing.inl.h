// How the results of rows reach memory.
#pragma once

#include "kernels/elementwise.inl.h"

SORGUM_ISA_BEGIN

// How results reach memory: through the caches; past them; past them where contiguous rows do not start on cache lines,
// each line put together from two vectors; or past them in a loop of its own per row, since the rows start anywhere and
// so their stores cannot keep step with the loads.
enum class Writing { cached, streamed, slid, apart };

inline constexpr index_t kShortestApart = 16;  // vectors of a row from which Writing::apart pays

// `sliding`: whether there is a way to slide.
template <class T>
SORGUM_INLINE Writing writing_of(const T* y, index_t y_stride, index_t n, bool streaming, bool sliding) {
    const index_t to_line = elements_to_boundary(y);
    if (!streaming)
        return Writing::cached;
    if (to_line == 0 && (y_stride * static_cast<index_t>(sizeof(T))) % 64 == 0)
        return Writing::streamed;
    if (sliding && to_line >= 0 && y_stride == n && n % kLanes == 0)
        return Writing::slid;
    return n >= kShortestApart * kLanes ? Writing::apart : Writing::cached;
}

// The end of the results written so far, which is a part of a line: `tail` lanes of `last`, which end before `end`.
template <class T>
struct OpenLine {
    vec<T> last;
    T* end = nullptr;  // nullptr: there is none
    index_t tail;

    // The results that follow each other begin at y, a multiple of the element size.
    SORGUM_INLINE void start(const T* y) {
        constexpr index_t per_line = 64 / static_cast<index_t>(sizeof(T));
        tail = (per_line - elements_to_boundary(y)) % per_line;
    }
    SORGUM_INLINE void open(T* at) {
        end = at;
        last = load(end - kLanes);
    }
    SORGUM_INLINE void close() {
        if (end != nullptr)
            store_first(end - tail, slide(last, last, tail), tail);
        end = nullptr;
    }
};

SORGUM_ISA_END
