// How the results of rows reach memory.
#pragma once

#include "kernels/common/elementwise.inl.h"

SORGUM_ISA_BEGIN

// cached: through the caches. streamed: past them. slid: past them, where rows follow each other without gaps but do
// not start at cache lines, each line put together from two vectors. apart: past them in a loop of its own per row,
// where the rows start anywhere, so that stores of whole lines cannot keep step with the loads.
enum class Writing { cached, streamed, slid, apart };

inline constexpr index_t kShortestApart = 16;  // vectors of a row from which Writing::apart pays

// `sliding`: whether the caller can do `slid`.
template <class T>
SORGUM_INLINE Writing writing_of(const T* y, index_t y_stride, index_t n, bool streaming, bool sliding) {
    const index_t to_line = elements_to_boundary(y);
    if (!streaming)
        return Writing::cached;
    if (to_line == 0 && (y_stride * static_cast<index_t>(sizeof(T))) % 64 == 0)
        return Writing::streamed;
    if (sliding && to_line >= 0 && y_stride == n && n >= kLanes)
        return Writing::slid;
    return n >= kShortestApart * kLanes ? Writing::apart : Writing::cached;
}

// Contiguous results, written as whole cache lines. The line that is not full yet, the open one, begins with the
// uppermost `tail` lanes of `last`, the vector of the latest results.
template <class T>
struct OpenLine {
    vec<T> last;
    index_t tail;
    T* end = nullptr;  // of the results so far; nullptr: no line is open

    // `at` is a multiple of the element size, and a vector of results stands before it.
    SORGUM_INLINE void open(T* at) {
        end = at;
        tail = static_cast<index_t>(reinterpret_cast<std::uintptr_t>(at) % 64 / sizeof(T));
        last = load(at - kLanes);
    }
    // The results of y and the 15 that follow.
    SORGUM_INLINE void add(T* y, vec<T> results) {
        stream(y - tail, slide(last, results, tail));
        last = results;
    }
    // The first `count`, fewer than 16, of them.
    SORGUM_INLINE void add_first(T* y, vec<T> results, index_t count) {
        if (tail + count >= kLanes)
            stream(y - tail, slide(last, results, tail));
        last = slide(last, results, kLanes - count);
        tail = (tail + count) % kLanes;
    }
    SORGUM_INLINE void close() {
        if (end != nullptr)
            store_first(end - tail, slide(last, last, tail), tail);
        end = nullptr;
    }
};

// Stores a vector of results at y, where `left` of them belong: all 16, if they are `whole`. The line is that of
// Writing::slid.
template <Writing writing, bool whole, class T>
SORGUM_INLINE void store_results(OpenLine<T>& line, T* y, vec<T> results, index_t left) {
    if constexpr (writing == Writing::slid && whole)
        line.add(y, results);
    else if constexpr (writing == Writing::slid)
        line.add_first(y, results, left);
    else if constexpr (!whole)
        store_first(y, results, left);
    else if constexpr (writing == Writing::streamed)
        stream(y, results);
    else
        store(y, results);
}

SORGUM_ISA_END
