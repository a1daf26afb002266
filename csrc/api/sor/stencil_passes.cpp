#include "api/sor/stencil_passes.h"

#include <algorithm>
#include <cstdlib>
#include <exception>

#include "api/sor/scratch.h"
#include "api/sor/stencil_wavefronts.h"
#include "core/error.h"
#include "core/interrupt.h"
#include "dispatch/dispatch.h"
#include "dispatch/sor.h"

namespace sorgum::sor {

namespace {

template <class T>
class Passes {
public:
    Passes(const StencilData<T>& data, const StencilVectors<T>& vectors)
        : data_(data),
          grid_(data.grid),
          coloring_(data.coloring),
          rows_(data, vectors),
          together_(any_diagonal(data) ? 1 : kRowsInTurn) {}

    // Rows [first, last) of those that are not given, of one color.
    void relax_rows(index_t first, index_t last, int color, SquaresScratch* scratch) const {
        if (data_.in_turn && scratch == nullptr)
            return relax_in_turn(first, last);
        for (index_t r = first; r < last; ++r)
            visit(r, [&](StencilRow<T>& row, index_t at, index_t column) {
                const index_t line = at / grid_.size[2];
                row.lanes = coloring_.lanes(color, line / grid_.size[1], line % grid_.size[1], column);
                if (row.lanes == 0)
                    return;
                if (scratch == nullptr || !data_.owns(at))
                    return relax_row(row);
                in_chunks(row, [&](StencilRow<T>& part, index_t) {
                    part.change = scratch->numbers.data();
                    relax_row(part);
                    sor_squares_add(kernels(), double())(part.change, part.points, scratch->squares);
                });
            });
    }

    void residual_of_rows(index_t first, index_t last, double* r, SquaresScratch& scratch) const {
        for (index_t i = first; i < last; ++i)
            visit(i, [&](StencilRow<T>& row, index_t at, index_t) {
                if (!data_.owns(at))
                    return;
                in_chunks(row, [&](StencilRow<T>& part, index_t begin) {
                    double* const to = r != nullptr ? r + at + begin : scratch.numbers.data();
                    sor_stencil_residual(kernels(), T())(part, to);
                    sor_squares_add(kernels(), double())(to, part.points, scratch.squares);
                });
            });
    }

private:
    void relax_row(const StencilRow<T>& row) const {
        if (data_.in_turn)
            sor_stencil_in_turn(kernels(), T())(&row, 1);
        else
            sor_stencil_sweep(kernels(), T())(row);
    }

    static bool any_diagonal(const StencilData<T>& data) {
        return std::any_of(data.offsets.begin(), data.offsets.end(), [](const Offset& offset) {
            return std::abs(offset.step[0]) + std::abs(offset.step[1]) + std::abs(offset.step[2]) > 1;
        });
    }

    // Rows of a plane go together: their first points, then those between, then their last ones. Where no neighbour
    // lies diagonally, these wait for nothing that comes after them in this order.
    void relax_in_turn(index_t first, index_t last) const {
        const index_t per_plane = grid_.inner(1);
        for (index_t r = first; r < last;) {
            const index_t of_plane = (r / per_plane + 1) * per_plane, end = std::min({last, r + together_, of_plane});
            StencilRow<T> rows[3][kRowsInTurn];
            StencilTerm<T> terms[3][kRowsInTurn][kMostNeighbours];
            int segments = 0;
            for (index_t i = r; i < end; ++i) {
                segments = 0;
                visit(i, [&](const StencilRow<T>& row, index_t, index_t) {
                    StencilTerm<T>* const own = terms[segments][i - r];
                    std::copy_n(row.terms, row.count, own);
                    rows[segments][i - r] = row;
                    rows[segments][i - r].terms = own;
                    ++segments;
                });
            }
            for (int s = 0; s < segments; ++s)
                sor_stencil_in_turn(kernels(), T())(rows[s], end - r);
            r = end;
        }
    }

    template <class Visit>
    void visit(index_t r, Visit&& with) const {
        const index_t per_plane = grid_.inner(1);
        rows_(grid_.first(0) + r / per_plane, grid_.first(1) + r % per_plane, with);
    }

    // Calls body(part, where it begins) for parts of at most a chunk. Its length is even: colors stay where they are.
    template <class Body>
    static void in_chunks(const StencilRow<T>& row, Body&& body) {
        for_each_range(0, row.points, kChunk, [&](index_t begin, index_t end) {
            StencilTerm<T> term[kMostNeighbours];
            StencilRow<T> part = row;
            const auto move = [&](auto& pointer) { pointer = pointer != nullptr ? pointer + begin : nullptr; };
            for (index_t k = 0; k < row.count; ++k) {
                term[k] = row.terms[k];
                move(term[k].u);
                move(term[k].c);
                move(term[k].there);
            }
            part.terms = term;
            part.points = end - begin;
            move(part.u);
            move(part.f);
            move(part.diagonal);
            move(part.inverse);
            move(part.active);
            move(part.lower);
            move(part.upper);
            body(part, begin);
        });
    }

    const StencilData<T>& data_;
    const GridShape& grid_;
    const Coloring& coloring_;
    RowMaker<T> rows_;
    index_t together_;  // rows in turn
};

}  // namespace

template <class T>
void relax(const StencilData<T>& data, const StencilVectors<T>& vectors, index_t sweeps, std::int64_t* sums) {
    const GridShape& grid = data.grid;
    const Passes<T> passes(data, vectors);
    const Wavefronts<T, Passes<T>> wavefronts(data, vectors, passes);
    const index_t rows = grid.rows(), step = data.in_turn ? std::max<index_t>(rows, 1) : rows_at_once(grid);
    const bool any = !data.has_active || std::any_of(data.active.data(), data.active.data() + grid.points(),
                                                     [](unsigned char active) { return active != 0; });
    if (rows == 0 || !any) {
        for (index_t k = 0; k < sweeps && sums != nullptr; ++k)
            store(kNoSquares, sums + k * kSumWords);
        return;
    }
    const int threads = threads_for(grid.points());
    InterruptPoll poll;
    std::exception_ptr stopped;
    for (index_t k = 0; k < sweeps;) {
        poll();
        // Where points are relaxed in turn, a whole sweep is the least that a thread can take.
        const int at_work = data.in_turn ? static_cast<int>(std::min<index_t>(threads, sweeps - k)) : threads;
        const index_t at_once = sums == nullptr ? wavefronts.at_once(sweeps - k, at_work) : 0;
        if (at_once > 0) {
            wavefronts.relax(at_once, at_work, stopped);
            k += at_once;
        } else {
            std::vector<SquaresScratch> scratch = scratch_for(sums == nullptr ? 0 : threads);
            for (int color = 0; color < data.coloring.count(); ++color)
                run_all(ceil_div(rows, step), threads, stopped, [&](index_t task, int slot) {
                    const Range range = nth_range(rows, step, task);
                    passes.relax_rows(range.begin, range.end, color,
                                      sums == nullptr ? nullptr : &scratch[static_cast<std::size_t>(slot)]);
                });
            if (sums != nullptr) {
                SquaresSum squares = kNoSquares;
                merge(scratch, squares);
                store(squares, sums + k * kSumWords);
            }
            ++k;
        }
        if (stopped != nullptr)
            std::rethrow_exception(stopped);
    }
}

template <class T>
SquaresSum residual_squares(const StencilData<T>& data, const StencilVectors<T>& vectors, double* r) {
    const GridShape& grid = data.grid;
    if (r != nullptr)
        std::fill_n(r, grid.points(), 0.0);
    const Passes<T> passes(data, vectors);
    const int threads = threads_for(grid.points());
    std::vector<SquaresScratch> scratch = scratch_for(threads);
    parallel_for_ranges(grid.rows(), rows_at_once(grid), threads, [&](index_t begin, index_t end, int slot) {
        passes.residual_of_rows(begin, end, r, scratch[static_cast<std::size_t>(slot)]);
    });
    SquaresSum squares = kNoSquares;
    merge(scratch, squares);
    return squares;
}

template void relax(const StencilData<float>&, const StencilVectors<float>&, index_t, std::int64_t*);
template void relax(const StencilData<double>&, const StencilVectors<double>&, index_t, std::int64_t*);
template SquaresSum residual_squares(const StencilData<float>&, const StencilVectors<float>&, double*);
template SquaresSum residual_squares(const StencilData<double>&, const StencilVectors<double>&, double*);

}  // namespace sorgum::sor
