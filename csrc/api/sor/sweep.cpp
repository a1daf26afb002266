#include <algorithm>
#include <memory>
#include <vector>

#include "api/sor/scratch.h"
#include "api/sor/sharing.h"
#include "api/sor/system.h"
#include "dispatch/dispatch.h"
#include "dispatch/sor.h"

namespace sorgum::sor {

namespace {

constexpr index_t kBetweenPolls = index_t(1) << 22;  // numbers that are read between two looks at interrupts
static_assert(kChunk % kRowsOfGroup == 0, "threads share chunks, and rows of a group are relaxed in order");
constexpr index_t kWorthSharing = 3072;  // rows of a run: on shorter ones threads wait for each other

// Rows of about kBetweenPolls numbers, whole blocks and at most a chunk.
index_t rows_between_polls(const Structure& structure) {
    const index_t per_block = kBlock * (3 + structure.slots / std::max<index_t>(structure.blocks, 1));
    return std::min(kChunk, std::max<index_t>(kBetweenPolls / per_block, 1) * kBlock);
}

// Rows are places here, those between the colors among them.
template <class T>
struct Sweeper {
    const System<T>& system;
    Step<T> step;
    const T* b;
    T* x;
    Blocks<T> a = system.blocks();
    blocks_sweep_fn<T>* kernel = sor_blocks_sweep(kernels(), T());
    index_t rows = system.in_natural_order() ? system.structure->rows : system.structure->padded_rows();

    // Rows [first, last) of one chunk; changes are told in scratch, 0 for places without a row.
    void chunk(index_t first, index_t last, SquaresScratch* scratch, InterruptPoll* poll) const {
        Step<T> now = step;
        if (scratch != nullptr) {
            now.change = scratch->numbers.data();
            now.change_first = first;
            if (!system.in_natural_order())  // there all places are rows
                std::fill_n(now.change, last - first, 0.0);
        }
        const index_t at_once = rows_between_polls(*system.structure);
        const index_t pieces = ceil_div(last - first, at_once);
        for (index_t k = 0; k < pieces; ++k) {
            const Range piece = nth_range(last - first, at_once, step.backward ? pieces - 1 - k : k);
            if (poll != nullptr)
                (*poll)();
            kernel(a, now, b, x, first + piece.begin, first + piece.end);
        }
        if (scratch != nullptr)
            sor_squares_add(kernels(), double())(now.change, last - first, scratch->squares);
    }

    // Rows [first, last) that do not depend on those of other chunks, or by one thread.
    void stage(index_t first, index_t last, std::vector<SquaresScratch>& scratch, int threads,
               InterruptPoll& poll) const {
        const index_t base = first / kChunk * kChunk, chunks = ceil_div(last - base, kChunk);
        const auto run = [&](index_t task, int slot, InterruptPoll* own) {
            const index_t at = base + (step.backward ? chunks - 1 - task : task) * kChunk;
            chunk(std::max(first, at), std::min(last, at + kChunk),
                  scratch.empty() ? nullptr : &scratch[static_cast<std::size_t>(slot)], own);
        };
        if (threads == 1) {
            for (index_t task = 0; task < chunks; ++task)
                run(task, 0, &poll);
        } else {
            poll();
            parallel_for(chunks, threads, [&](index_t task, int slot) { run(task, slot, nullptr); });
        }
    }
};

// All rows in natural order by several threads (api/sor/schedule.h).
template <class T>
class Runs {
public:
    Runs(Sweeper<T>& sweeper, const Schedule& schedule, int threads, InterruptPoll& poll)
        : sweeper_(sweeper),
          backward_(sweeper.step.backward),
          schedule_(schedule),
          needs_(backward_ ? schedule.backward : schedule.forward),
          progress_(new Progress[static_cast<std::size_t>(schedule.runs())]),
          took_part_(static_cast<std::size_t>(threads)),
          threads_(threads),
          poll_(poll) {
        for (index_t run = 0; run < schedule.runs(); ++run)
            progress_[static_cast<std::size_t>(run)].pieces = first_piece(backward_ ? run + 1 : run);
    }

    void sweep() {
        const index_t runs = schedule_.runs();
        poll_();
        parallel_for(runs, threads_, [&](index_t task, int slot) {
            took_part_[static_cast<std::size_t>(slot)] = 1;
            one(backward_ ? runs - 1 - task : task, slot);
        });
        tell_threads(static_cast<int>(std::count(took_part_.begin(), took_part_.end(), 1)));
    }

private:
    index_t first_piece(index_t run) const { return schedule_.first_piece[static_cast<std::size_t>(run)]; }
    index_t first_row(index_t piece) const { return schedule_.first_row[static_cast<std::size_t>(piece)]; }
    // The first block of a run, and the one behind its last.
    index_t first_block(index_t run) const { return first_row(first_piece(run)) / kBlock; }
    index_t end_block(index_t run) const { return ceil_div(first_row(first_piece(run + 1)), kBlock); }

    void one(index_t run, int slot) {
        const index_t first = first_piece(run), last = first_piece(run + 1);
        std::atomic<index_t>& progress = progress_[static_cast<std::size_t>(run)].pieces;
        for (index_t k = first; k < last; ++k) {
            const index_t piece = backward_ ? first + (last - 1 - k) : k;
            if (!wait_for_needs(static_cast<std::size_t>(piece), slot))
                return;
            sweep_rows(run, first_row(piece), first_row(piece + 1));
            progress.store(backward_ ? piece : piece + 1, std::memory_order_release);
        }
    }

    // At the end of a run the blocks that are fetched are the first ones of the run that the thread takes next, if
    // threads take turns.
    void sweep_rows(index_t run, index_t begin, index_t end) const {
        Step<T> step = sweeper_.step;
        const auto kernel = [&](index_t first, index_t last) {
            if (first < last)
                sweeper_.kernel(sweeper_.a, step, sweeper_.b, sweeper_.x, first, last);
        };
        const index_t next = backward_ ? run - threads_ : run + threads_, near = step.ahead;
        if (next < 0 || next >= schedule_.runs())
            return kernel(begin, end);
        if (backward_) {
            const index_t turn = std::clamp((first_block(run) + near) * kBlock, begin, end);
            kernel(turn, end);
            step.ahead = first_block(run) + near - end_block(next);
            kernel(begin, turn);
        } else {
            const index_t turn = std::clamp((end_block(run) - near) * kBlock, begin, end);
            kernel(begin, turn);
            step.ahead = first_block(next) - (end_block(run) - near);
            kernel(turn, end);
        }
    }

    // False if the sweep is to end.
    bool wait_for_needs(std::size_t piece, int slot) {
        for (index_t k = needs_.first[piece]; k < needs_.first[piece + 1]; ++k) {
            const Need& need = needs_.all[static_cast<std::size_t>(k)];
            const auto enough = [&](index_t done) { return backward_ ? done <= need.piece : done > need.piece; };
            if (!wait_for(progress_[static_cast<std::size_t>(need.run)], slot, poll_, enough))
                return false;
        }
        return true;
    }

    Sweeper<T>& sweeper_;
    const bool backward_;
    const Schedule& schedule_;
    const Needs& needs_;
    std::unique_ptr<Progress[]> progress_;
    std::vector<char> took_part_;
    int threads_;
    InterruptPoll& poll_;
};

// The squares of n numbers that are there, chunk by chunk.
void add_squares(const double* numbers, index_t n, int threads, SquaresSum& to) {
    std::vector<SquaresScratch> scratch(static_cast<std::size_t>(threads));
    parallel_for_ranges(n, kChunk, threads, [&](index_t begin, index_t end, int slot) {
        sor_squares_add(kernels(), double())(numbers + begin, end - begin,
                                             scratch[static_cast<std::size_t>(slot)].squares);
    });
    merge(scratch, to);
}

}  // namespace

template <class T>
int threads_in_order(const System<T>& system) {
    const Structure& structure = *system.structure;
    const int threads = threads_of(structure, kWaking);
    if (threads == 1)
        return 1;
    const index_t runs = system.schedule->of(structure).runs();
    const index_t least = sharing_is_forced() ? 1 : kWorthSharing;
    return runs > 1 && structure.rows / runs >= least ? threads : 1;
}

template <class T>
void sweep(const System<T>& system, Step<T> step, const T* b, T* x, SquaresSum* squares, InterruptPoll& poll) {
    step.change = nullptr;
    step.change_first = 0;
    Sweeper<T> sweeper = {system, step, b, x};
    const Structure& structure = *system.structure;
    tell_threads(1);
    if (!system.in_natural_order()) {
        const int threads = threads_of(structure, 0);
        std::vector<SquaresScratch> scratch = scratch_for(squares == nullptr ? 0 : threads);
        const std::vector<index_t>& first = structure.places.first_of_color;
        const index_t colors = static_cast<index_t>(first.size()) - 1;
        for (index_t k = 0; k < colors; ++k) {
            const auto color = static_cast<std::size_t>(step.backward ? colors - 1 - k : k);
            sweeper.stage(first[color] * kBlock, first[color + 1] * kBlock, scratch, threads, poll);
        }
        if (squares != nullptr)
            merge(scratch, *squares);
        return;
    }
    const int threads = threads_in_order(system);
    if (threads > 1) {
        AlignedArray<double> change;
        if (squares != nullptr) {
            change.reserve(structure.rows);
            sweeper.step.change = change.data();
        }
        Runs<T>(sweeper, system.schedule->of(structure), threads, poll).sweep();
        if (squares != nullptr)
            add_squares(change.data(), structure.rows, threads, *squares);
        return;
    }
    std::vector<SquaresScratch> scratch = scratch_for(squares == nullptr ? 0 : 1);
    sweeper.stage(0, structure.rows, scratch, 1, poll);
    if (squares != nullptr)
        merge(scratch, *squares);
}

template int threads_in_order(const System<float>&);
template int threads_in_order(const System<double>&);
template void sweep(const System<float>&, Step<float>, const float*, float*, SquaresSum*, InterruptPoll&);
template void sweep(const System<double>&, Step<double>, const double*, double*, SquaresSum*, InterruptPoll&);

}  // namespace sorgum::sor
