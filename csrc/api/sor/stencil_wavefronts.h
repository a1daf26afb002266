// Several passes over memory in one.
//
// A pass relaxes the points of a color, unit by unit: planes, or rows of the one plane, several of those that go
// together. One that follows another keeps a unit behind it, so that what it reads is as if the other were done, and
// still in cache. Threads take passes in groups, and each keeps as far behind the group before.
//
// Units that are packed are cut across into strips, one after the other, so narrow that what a group is at stays in
// cache. Each pass begins and ends a point before the one that it follows: so all that it reads is as it has to be.
#pragma once

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <thread>
#include <vector>

#include "api/sor/stencil_window.h"
#include "core/error.h"

namespace sorgum::sor {

inline constexpr index_t kWindowBytes = 768 << 10;  // of what a thread is at: less than a cache of its own
inline constexpr index_t kMostLevels = 16;          // passes that a thread makes at a time
inline constexpr int kLooks = 256;                  // at what others have done, before a thread lets others run

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

struct alignas(64) Progress {
    std::atomic<index_t> units{0};  // that its last pass is through with, of all strips
};

// `Passes` relaxes rows where they lie: relax_rows(first, last, color, nullptr).
template <class T, class Passes>
class Wavefronts {
public:
    Wavefronts(const StencilData<T>& data, const StencilVectors<T>& vectors, const Passes& passes)
        : data_(data),
          vectors_(vectors),
          passes_(passes),
          grid_(data.grid),
          colors_(data.coloring.count()),
          axis_(grid_.inner(0) > 1 ? 0 : 1),
          rows_(axis_ == 0     ? grid_.inner(1)
                : data.in_turn ? kRowsInTurn
                               : 1),
          units_(axis_ == 0 ? grid_.inner(0) : ceil_div(grid_.inner(1), rows_)),
          apart_(grid_.side[axis_][0] != Side::periodic),
          packable_(StencilWindow<T>::serves(data, vectors)) {
        const index_t arrays =
            2 + (data.has_diagonal ? 1 : 0) + (data.centre != nullptr ? index_t(data.offsets.size()) : 0);
        const int next = axis_ + 1;
        const index_t least =
            packable_ && grid_.side[next][0] != Side::periodic ? kLeastAcross[axis_] : grid_.size[next];
        const index_t points = saturated_product(axis_ == 0 ? grid_.size[2] : rows_, least);
        const index_t bytes = saturated_product(points, arrays * index_t(sizeof(T)));
        const index_t units = kWindowBytes / std::max<index_t>(bytes, 1);
        packable_ = packable_ && units >= 2;
        levels_ = std::clamp<index_t>(units - 2, colors_, kMostLevels);
    }

    // How many of `sweeps` to make in one pass; 0 if threads have more to do in one pass for each.
    index_t at_once(index_t sweeps, int threads) const {
        const index_t now = std::min(sweeps, std::max<index_t>(threads * levels_ / colors_, 1));
        return apart_ && now * colors_ >= threads ? now : 0;
    }

    void relax(index_t sweeps, int threads, std::exception_ptr& stopped) const {
        const index_t all = sweeps * colors_;
        const index_t levels = std::min(levels_, std::max<index_t>(all / threads, 1)), groups = ceil_div(all, levels);
        const std::unique_ptr<Progress[]> progress(new Progress[static_cast<std::size_t>(groups)]);
        const bool packed = packable_ && levels > 1;  // one pass would save less than it takes to pack
        const Strips strips = packed ? strips_for(levels, all) : Strips{1, 0, 0};
        std::vector<AlignedArray<T>> scratch(packed ? static_cast<std::size_t>(std::min<index_t>(groups, threads)) : 0);
        for (AlignedArray<T>& s : scratch)
            s.reserve(StencilWindow<T>::elements(grid_, levels + 2, strips.most));
        run_all(groups, threads, stopped, [&](index_t g, int slot) {
            const Progress* const before = g > 0 ? &progress[static_cast<std::size_t>(g - 1)] : nullptr;
            Progress& own = progress[static_cast<std::size_t>(g)];
            const Range range = nth_range(all, levels, g);
            if (packed)
                follow(StencilWindow<T>(data_, vectors_, levels + 2, strips.most,
                                        scratch[static_cast<std::size_t>(slot)].data()),
                       range, strips, before, own);
            else
                follow(InPlace{*this}, range, strips, before, own);
        });
    }

private:
    static constexpr index_t kLeastAcross[2] = {8, 256};  // of a strip: rows of planes, columns of rows

    struct Strips {
        index_t count, width, most;  // points across: of each, of what one reads
    };

    // Units where they lie, whole.
    struct InPlace {
        const Wavefronts& all;

        void begin(Range) const {}
        void load(index_t) const {}
        void store(index_t, Range) const {}
        void relax(index_t unit, Range, int color) const {
            const index_t row = (unit - all.grid_.first(all.axis_)) * all.rows_;
            all.passes_.relax_rows(row, std::min(row + all.rows_, all.grid_.rows()), color, nullptr);
        }
    };

    Strips strips_for(index_t levels, index_t all) const {
        const int across = axis_ + 1;
        const index_t inner = grid_.inner(across), size = grid_.size[across];
        if (grid_.side[across][0] == Side::periodic)  // the first point is next to the last one
            return {1, inner, size};
        const index_t bytes = of_point() * 2 * index_t(sizeof(T));
        const index_t room = kWindowBytes / (bytes * (levels + 2)) - levels - 2;
        const index_t count = ceil_div(inner, std::max(room, kLeastAcross[axis_])), width = ceil_div(inner, count);
        return {count, width, std::min(width + all + 2, size)};
    }

    index_t of_point() const { return axis_ == 0 ? grid_.size[2] : 1; }  // across, of a unit: elements

    // What a pass relaxes across, in a strip.
    Range across(const Strips& strips, index_t strip, index_t level) const {
        const index_t first = grid_.first(axis_ + 1), last = grid_.last(axis_ + 1);
        const index_t begin = first + strip * strips.width - level, end = begin + strips.width;
        return {strip == 0 ? first : std::clamp(begin, first, last),
                strip == strips.count - 1 ? last : std::clamp(end, first, last)};
    }

    // What is read for it, where neighbours lie within [0, size).
    Range around(Range range) const {
        const index_t size = grid_.size[axis_ + 1];
        if (grid_.side[axis_ + 1][0] == Side::periodic)
            return {0, size};
        return {std::max<index_t>(range.begin - 1, 0), std::min(range.end + 1, size)};
    }

    // Makes the passes `levels`, behind those of the group before.
    template <class Window>
    void follow(Window&& window, Range levels, const Strips& strips, const Progress* before, Progress& own) const {
        const index_t count = levels.end - levels.begin, first = grid_.first(axis_), size = grid_.size[axis_];
        for (index_t strip = 0; strip < strips.count; ++strip) {
            const Range relaxed = {across(strips, strip, levels.end - 1).begin,
                                   across(strips, strip, levels.begin).end};
            window.begin(around(relaxed));
            index_t loaded = std::max<index_t>(first - 1, 0);
            for (index_t step = 0; step < units_ + count - 1; ++step) {
                if (step < units_) {
                    if (before != nullptr)
                        wait_for(*before, strip * units_ + std::min(step + 2, units_));
                    for (; loaded < std::min(first + step + 2, size); ++loaded)
                        window.load(loaded);
                }
                for (index_t level = std::max<index_t>(0, step - units_ + 1); level < count && level <= step; ++level)
                    window.relax(first + step - level, across(strips, strip, levels.begin + level),
                                 static_cast<int>((levels.begin + level) % colors_));
                if (step >= count - 1) {
                    window.store(first + step - count + 1, relaxed);
                    own.units.store(strip * units_ + step - count + 2, std::memory_order_release);
                }
            }
        }
    }

    static void wait_for(const Progress& progress, index_t units) {
        for (int looks = 0; progress.units.load(std::memory_order_acquire) < units; ++looks)
            if (looks >= kLooks) {
                looks = 0;
                std::this_thread::yield();
            }
    }

    const StencilData<T>& data_;
    const StencilVectors<T>& vectors_;
    const Passes& passes_;
    const GridShape& grid_;
    int colors_, axis_;
    index_t rows_, units_, levels_;  // rows of a unit
    bool apart_;                     // the last unit is not next to the first one
    bool packable_;                  // units can be packed
};

}  // namespace sorgum::sor
