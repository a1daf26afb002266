// Sweeps of one call, each shortly behind the one before.
#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include "api/sor/scratch.h"
#include "api/sor/sharing.h"
#include "api/sor/system.h"
#include "dispatch/dispatch.h"
#include "dispatch/sor.h"

namespace sorgum::sor {

namespace {

constexpr index_t kPiece = 1024;  // rows that are swept once while others are swept again
static_assert(kChunk % kPiece == 0);
constexpr index_t kPiecesBetweenPolls = 8;
constexpr index_t kMostReach = index_t(1) << 14;
constexpr index_t kMostBetween = index_t(1) << 18;  // bytes that stay in cache until they are read again
constexpr index_t kWorthFollowing = 4;              // times as far as sweeps are apart, for each thread: rows

std::atomic<index_t> twice{0};

index_t reach_in_pieces(const Structure& structure) { return ceil_div(structure.reach, kPiece); }

// A task makes one sweep, or two of which the second follows the first. What comes first in the order of the sweeps
// counts as piece 0.
template <class T>
class Sweeps {
public:
    Sweeps(const System<T>& system, const Step<T>& step, const T* b, T* x, index_t count, index_t pairs, int threads,
           SquaresSum* squares, InterruptPoll& poll)
        : a_(system.blocks()),
          step_(step),
          b_(b),
          x_(x),
          rows_(system.structure->rows),
          pieces_(ceil_div(rows_, kPiece)),
          reach_(reach_in_pieces(*system.structure)),
          pairs_(pairs),
          tasks_(count - pairs),
          squares_(squares),
          scratch_(scratch_for(squares == nullptr ? 0 : 2 * threads)),
          progress_(new Progress[static_cast<std::size_t>(tasks_)]),
          took_part_(static_cast<std::size_t>(threads)),
          poll_(poll) {}

    void sweep() {
        poll_();
        const int threads = static_cast<int>(took_part_.size());
        parallel_for(tasks_, threads, [&](index_t task, int slot) { one(task, slot); });
        tell_threads(static_cast<int>(std::count(took_part_.begin(), took_part_.end(), 1)));
    }

private:
    void one(index_t task, int slot) {
        took_part_[static_cast<std::size_t>(slot)] = 1;
        const index_t sweeps = task < pairs_ ? 2 : 1, lag = sweeps == 2 ? reach_ + 1 : 0;
        SquaresScratch* const scratch = squares_ == nullptr ? nullptr : &scratch_[2 * static_cast<std::size_t>(slot)];
        for (index_t k = 0; k < pieces_ + lag; ++k) {
            if (slot == 0 && k % kPiecesBetweenPolls == 0)
                poll_();
            if (tasks_stopped())
                return;
            const bool once = k < pieces_, again = sweeps == 2 && k >= lag;
            if (once && task > 0) {
                const index_t needed = std::min(k + reach_, pieces_ - 1);
                if (!wait_for(progress_[static_cast<std::size_t>(task - 1)], slot, poll_,
                              [&](index_t done) { return done > needed; }))
                    return;
            }
            pieces(once, k, again, k - lag, scratch);
            if (sweeps == 1 || again)
                progress_[static_cast<std::size_t>(task)].pieces.store(k - lag + 1, std::memory_order_release);
        }
        for (index_t time = 0; scratch != nullptr && time < sweeps; ++time) {
            sor_squares_merge(kernels(), double())(squares_[first_sweep(task) + time], scratch[time].squares);
            scratch[time].squares = kNoSquares;
        }
    }

    index_t first_sweep(index_t task) const { return task < pairs_ ? 2 * task : pairs_ + task; }

    // One piece for the first sweep of a task, and one for its second.
    void pieces(bool once, index_t first, bool again, index_t second, SquaresScratch* scratch) {
        const Part<T> one = part(once ? first : 0, scratch, 0), other = part(again ? second : 0, scratch, 1);
        if (once && again) {
            sor_blocks_sweep_two(kernels(), T())(a_, one, other, b_, x_);
        } else if (once || again) {
            const Part<T>& only = once ? one : other;
            sor_blocks_sweep(kernels(), T())(a_, only.step, b_, x_, only.first, only.last);
        }
        if (scratch == nullptr)
            return;
        if (once)
            told(one, scratch[0]);
        if (again)
            told(other, scratch[1]);
    }

    Part<T> part(index_t k, const SquaresScratch* scratch, int time) const {
        const index_t first = (step_.backward ? pieces_ - 1 - k : k) * kPiece;
        Part<T> part = {step_, first, std::min(rows_, first + kPiece)};
        if (squares_ != nullptr) {
            part.step.change = scratch[time].numbers.data();
            part.step.change_first = first / kChunk * kChunk;
        }
        return part;
    }

    // A chunk whose changes have all been told is added.
    void told(const Part<T>& part, SquaresScratch& scratch) const {
        const index_t first = part.step.change_first, last = std::min(rows_, first + kChunk);
        if (step_.backward ? part.first == first : part.last == last)
            sor_squares_add(kernels(), double())(scratch.numbers.data(), last - first, scratch.squares);
    }

    const Blocks<T> a_;
    const Step<T> step_;
    const T* b_;
    T* x_;
    const index_t rows_, pieces_, reach_, pairs_, tasks_;
    SquaresSum* squares_;
    std::vector<SquaresScratch> scratch_;  // two of each thread
    std::unique_ptr<Progress[]> progress_;
    std::vector<char> took_part_;
    InterruptPoll& poll_;
};

}  // namespace

index_t sweeps_at_twice() { return twice; }

template <class T>
Following following_of(const System<T>& system, index_t count) {
    const Structure& structure = *system.structure;
    if (!system.in_natural_order() || structure.reach > kMostReach || structure.rows < 2 * structure.reach)
        return {};
    const index_t per_row = 4 + structure.slots / std::max<index_t>(structure.blocks, 1);
    const index_t between = (structure.reach + kPiece) * per_row * static_cast<index_t>(sizeof(T));
    const index_t most = ceil_div(structure.rows, kPiece) / (kWorthFollowing * (reach_in_pieces(structure) + 1));
    const int wanted = threads_of(structure, kWaking, count);
    const int threads = sharing_is_forced() ? wanted : static_cast<int>(std::clamp<index_t>(most, 1, wanted));
    if (threads == 1)  // which leaves single steps to all threads
        return {1, between <= kMostBetween && threads_in_order(system) == 1, 2};
    return {threads, between <= kMostBetween, threads == 2 ? 2 : threads_in_order(system)};
}

template <class T>
void sweep_several(const System<T>& system, const Following& how, const Step<T>& step, const T* b, T* x, index_t count,
                   SquaresSum* squares, InterruptPoll& poll) {
    const int threads = static_cast<int>(std::min<index_t>(how.threads, count));
    const index_t pairs = how.pairs ? count / (2 * threads) * threads : 0;
    twice += pairs;
    Sweeps<T>(system, step, b, x, count, pairs, threads, squares, poll).sweep();
}

template Following following_of(const System<float>&, index_t);
template Following following_of(const System<double>&, index_t);
template void sweep_several(const System<float>&, const Following&, const Step<float>&, const float*, float*, index_t,
                            SquaresSum*, InterruptPoll&);
template void sweep_several(const System<double>&, const Following&, const Step<double>&, const double*, double*,
                            index_t, SquaresSum*, InterruptPoll&);

}  // namespace sorgum::sor
