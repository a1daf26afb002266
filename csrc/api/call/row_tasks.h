// How work on the rows of a layout is cut into tasks: by rows, and by pieces of long ones.
#pragma once

#include "api/call/rows.h"
#include "api/call/work.h"

namespace sorgum {

inline bool few_long_rows(const RowLayout& layout) { return layout.rows < kManyRows && layout.length > kPieceElements; }

inline int threads_for_rows(const RowLayout& layout) {
    return threads_for(saturated_product(layout.rows, layout.length));
}

// As many rows as have a piece's elements, or one.
inline index_t rows_of_a_task(const RowLayout& layout) {
    const index_t n = layout.length;
    return n >= kPieceElements ? 1 : kPieceElements / (n > 0 ? n : 1);
}

// Calls f(row, slot) for all rows in parallel, several short ones to a task; `slot` is below `threads`.
template <class F>
void for_each_row(const RowLayout& layout, int threads, F&& f) {
    parallel_for_ranges(layout.rows, rows_of_a_task(layout), threads, [&](index_t first, index_t end, int slot) {
        for (index_t r = first; r < end; ++r)
            f(r, slot);
    });
}

// Calls f(row, begin, end) for all elements in parallel: several short rows to a task, long ones in pieces.
template <class F>
void for_each_row_piece(const RowLayout& layout, F&& f) {
    const index_t n = layout.length;
    const int threads = threads_for_rows(layout);
    if (n <= kPieceElements)
        return for_each_row(layout, threads, [&](index_t r, int) { f(r, 0, n); });
    parallel_for_row_ranges(layout.rows, n, kPieceElements, threads,
                            [&](index_t r, index_t begin, index_t end, int) { f(r, begin, end); });
}

}  // namespace sorgum
