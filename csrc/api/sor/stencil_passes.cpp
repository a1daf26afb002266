#include "api/sor/stencil_passes.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <thread>

#include "api/sor/norm.h"
#include "api/sor/scratch.h"
#include "core/error.h"
#include "core/interrupt.h"
#include "dispatch/dispatch.h"
#include "dispatch/sor.h"

namespace sorgum::sor {

namespace {

constexpr index_t kWindowBytes = 768 << 10;  // of what a thread works on at a time: less than a cache of its own
constexpr index_t kMostLevels = 16;          // passes that a thread makes at a time
constexpr int kLooks = 256;                  // at what others have done, before a thread lets others run

// Runs all tasks, also where the caller is interrupted meanwhile: that is told in `stopped`.
template <class Body>
void run_all(index_t tasks, int threads, std::exception_ptr& stopped, Body&& body) {
    std::atomic<index_t> next{0};
    const auto work = [&](int slot) {
        for (index_t task; (task = next.fetch_add(1, std::memory_order_relaxed)) < tasks;)
            body(task, slot);
    };
    const int workers = static_cast<int>(std::min<index_t>(tasks, threads));
    if (workers > 1 && stopped == nullptr) {
        try {
            parallel_for(workers, workers, [&](index_t, int slot) { work(slot); });
        } catch (const Interrupted&) {
            stopped = std::current_exception();
        }
    }
    work(0);
}

template <class T>
class Passes {
public:
    Passes(const StencilData<T>& data, const StencilVectors<T>& vectors)
        : grid_(data.grid), coloring_(data.coloring), rows_(data, vectors) {}

    // Rows [first, last) of those that are not given, of one color.
    void relax_rows(index_t first, index_t last, int color, SquaresScratch* scratch) const {
        for (index_t r = first; r < last; ++r)
            visit(r, [&](StencilRow<T>& row, index_t at, index_t column) {
                const index_t line = at / grid_.size[2];
                row.lanes = coloring_.lanes(color, line / grid_.size[1], line % grid_.size[1], column);
                if (row.lanes == 0)
                    return;
                if (scratch == nullptr)
                    return kernel_(row);
                in_chunks(row, [&](StencilRow<T>& part, index_t) {
                    part.change = scratch->numbers.data();
                    kernel_(part);
                    sor_squares_add(kernels(), double())(part.change, part.points, scratch->squares);
                });
            });
    }

    void residual_of_rows(index_t first, index_t last, double* r, SquaresScratch& scratch) const {
        for (index_t i = first; i < last; ++i)
            visit(i, [&](StencilRow<T>& row, index_t at, index_t) {
                in_chunks(row, [&](StencilRow<T>& part, index_t begin) {
                    double* const to = r != nullptr ? r + at + begin : scratch.numbers.data();
                    sor_stencil_residual(kernels(), T())(part, to);
                    sor_squares_add(kernels(), double())(to, part.points, scratch.squares);
                });
            });
    }

private:
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

    const GridShape& grid_;
    const Coloring& coloring_;
    RowMaker<T> rows_;
    stencil_sweep_fn<T>* kernel_ = sor_stencil_sweep(kernels(), T());
};

struct alignas(64) Progress {
    std::atomic<index_t> units{0};  // that its last pass is through with
};

// Several passes over memory in one. A pass relaxes the points of a color, unit by unit: rows of a plane, or planes.
// One that follows another keeps a unit behind it, so that what it reads is as if the other were done, and still in
// cache. Threads take passes in groups, and each keeps as far behind the group before.
template <class T>
class Wavefronts {
public:
    Wavefronts(const StencilData<T>& data, const Passes<T>& passes) : passes_(passes), colors_(data.coloring.count()) {
        const GridShape& grid = data.grid;
        const int axis = grid.inner(0) > 1 ? 0 : 1;
        units_ = grid.inner(axis);
        rows_ = axis == 0 ? grid.inner(1) : 1;
        apart_ = grid.side[axis][0] != Side::periodic;
        const index_t arrays =
            2 + (data.has_diagonal ? 1 : 0) + (data.centre != nullptr ? index_t(data.offsets.size()) : 0);
        const index_t bytes = saturated_product(rows_ * grid.size[2] * index_t(sizeof(T)), arrays);
        levels_ = std::clamp<index_t>(kWindowBytes / std::max<index_t>(bytes, 1) - 2, colors_, kMostLevels);
    }

    // Of so many, how many sweeps to make at once; 0 if threads have more to do in one pass at a time.
    index_t at_once(index_t sweeps, int threads) const {
        const index_t now = std::min(sweeps, std::max<index_t>(threads * levels_ / colors_, 1));
        return apart_ && now * colors_ >= threads ? now : 0;
    }

    void relax(index_t sweeps, int threads, std::exception_ptr& stopped) const {
        const index_t all = sweeps * colors_;
        const index_t levels = std::min(levels_, std::max<index_t>(all / threads, 1)), groups = ceil_div(all, levels);
        const std::unique_ptr<Progress[]> progress(new Progress[static_cast<std::size_t>(groups)]);
        run_all(groups, threads, stopped, [&](index_t g, int) {
            group(g * levels, std::min(levels, all - g * levels),
                  g > 0 ? &progress[static_cast<std::size_t>(g - 1)] : nullptr, progress[static_cast<std::size_t>(g)]);
        });
    }

private:
    void group(index_t first, index_t levels, const Progress* before, Progress& own) const {
        for (index_t step = 0; step < units_ + levels - 1; ++step) {
            if (before != nullptr && step < units_)
                wait_for(*before, std::min(step + 2, units_));
            for (index_t level = std::max<index_t>(0, step - units_ + 1); level < levels && level <= step; ++level) {
                const index_t unit = step - level;
                passes_.relax_rows(unit * rows_, (unit + 1) * rows_, static_cast<int>((first + level) % colors_),
                                   nullptr);
            }
            if (step >= levels - 1)
                own.units.store(step - levels + 2, std::memory_order_release);
        }
    }

    static void wait_for(const Progress& progress, index_t units) {
        for (int looks = 0; progress.units.load(std::memory_order_acquire) < units; ++looks)
            if (looks >= kLooks) {
                looks = 0;
                std::this_thread::yield();
            }
    }

    const Passes<T>& passes_;
    int colors_;
    index_t units_, rows_, levels_;
    bool apart_;  // the last unit is not next to the first one
};

}  // namespace

template <class T>
void relax(const StencilData<T>& data, const StencilVectors<T>& vectors, index_t sweeps, double* norms) {
    const GridShape& grid = data.grid;
    const Passes<T> passes(data, vectors);
    const Wavefronts<T> wavefronts(data, passes);
    const index_t rows = grid.rows(), step = rows_at_once(grid);
    if (rows == 0) {
        std::fill_n(norms, norms == nullptr ? 0 : sweeps, 0.0);
        return;
    }
    const int threads = threads_for(grid.points());
    InterruptPoll poll;
    std::exception_ptr stopped;
    for (index_t k = 0; k < sweeps;) {
        poll();
        const index_t at_once = norms == nullptr ? wavefronts.at_once(sweeps - k, threads) : 0;
        if (at_once > 0) {
            wavefronts.relax(at_once, threads, stopped);
            k += at_once;
        } else {
            std::vector<SquaresScratch> scratch = scratch_for(norms == nullptr ? 0 : threads);
            for (int color = 0; color < data.coloring.count(); ++color)
                run_all(ceil_div(rows, step), threads, stopped, [&](index_t task, int slot) {
                    const Range range = nth_range(rows, step, task);
                    passes.relax_rows(range.begin, range.end, color,
                                      norms == nullptr ? nullptr : &scratch[static_cast<std::size_t>(slot)]);
                });
            if (norms != nullptr) {
                SquaresSum squares = kNoSquares;
                merge(scratch, squares);
                norms[k] = root_of(squares) / static_cast<double>(vectors.omega);
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

template void relax(const StencilData<float>&, const StencilVectors<float>&, index_t, double*);
template void relax(const StencilData<double>&, const StencilVectors<double>&, index_t, double*);
template SquaresSum residual_squares(const StencilData<float>&, const StencilVectors<float>&, double*);
template SquaresSum residual_squares(const StencilData<double>&, const StencilVectors<double>&, double*);

}  // namespace sorgum::sor
