#include "api/sor/schedule.h"

#include <algorithm>

#include "core/interrupt.h"

namespace sorgum::sor {

namespace {

constexpr index_t kPieceRows = 256;  // between two looks at what others have done
constexpr index_t kLeastReach = 32;  // rows that a run's first one is apart from those that it depends on
constexpr index_t kEnoughRuns = 32;  // for threads to share
constexpr index_t kFewestRuns = 2;

// Calls visit(row, column) for the entries of a slot. `columns`: of the block's gathered slots, which it goes on in.
template <class Visit>
void for_each_pair(const Slot& slot, index_t block, const std::int32_t*& columns, Visit&& visit) {
    for (index_t i = 0; i < kBlock; ++i)
        if ((slot.present >> i & 1) != 0)
            visit(block * kBlock + i, block * kBlock + (slot.offset == kGathered ? columns[i] : i + slot.offset));
    columns += slot.offset == kGathered ? kBlock : 0;
}

// Calls visit(slot, columns) for the slots of a block.
template <class Visit>
void for_each_slot(const Structure& structure, index_t block, Visit&& visit) {
    const Pattern& pattern = structure.pattern_of(block);
    const std::int32_t* columns =
        structure.columns.data() + structure.block[static_cast<std::size_t>(block)].columns * kBlock;
    for (index_t k = 0; k < pattern.left + pattern.right; ++k)
        visit(structure.slot[static_cast<std::size_t>(pattern.slots + k)], columns);
}

// How far each row is from the last one before it that it is coupled with.
std::vector<index_t> reaches(const Structure& structure) {
    std::vector<index_t> reach(static_cast<std::size_t>(structure.rows), INT64_MAX);
    InterruptPoll poll;
    for (index_t block = 0; block < structure.blocks; ++block) {
        if (block % kRowsBetweenPolls == 0)
            poll();
        for_each_slot(structure, block, [&](const Slot& slot, const std::int32_t*& columns) {
            for_each_pair(slot, block, columns, [&](index_t row, index_t column) {
                index_t& of = reach[static_cast<std::size_t>(std::max(row, column))];
                of = std::min(of, std::abs(row - column));
            });
        });
    }
    return reach;
}

// The rows that begin runs: as far from what they depend on as leaves enough of them.
std::vector<index_t> beginnings(const Structure& structure) {
    const std::vector<index_t> reach = reaches(structure);
    std::vector<index_t> found;
    InterruptPoll poll;
    for (index_t least = index_t(1) << 40; least >= kLeastReach; least /= 2) {
        poll();
        found = {0};
        for (index_t i = 1; i < structure.rows; ++i)
            if (reach[static_cast<std::size_t>(i)] >= least && i - found.back() >= kLeastReach)
                found.push_back(i);
        if (static_cast<index_t>(found.size()) >= kEnoughRuns)
            break;
    }
    return found;
}

class Planner {
public:
    Planner(const Structure& structure, Schedule& to) : structure_(structure), to_(to) {
        const index_t runs = to.runs();
        for (index_t run = 0; run < runs; ++run) {
            to.first_piece.push_back(static_cast<index_t>(to.piece_row.size()));
            const index_t end = to.first_row[static_cast<std::size_t>(run) + 1];
            for (index_t row = to.first_row[static_cast<std::size_t>(run)]; row < end;
                 row = (row / kPieceRows + 1) * kPieceRows)
                to.piece_row.push_back(row);
        }
        to.first_piece.push_back(static_cast<index_t>(to.piece_row.size()));
        to.piece_row.push_back(structure.rows);
        forward_.resize(to.piece_row.size() - 1);
        backward_.resize(to.piece_row.size() - 1);
    }

    void plan() {
        index_t run = 0;
        InterruptPoll poll;
        for (index_t block = 0; block < structure_.blocks; ++block) {
            if (block % kRowsBetweenPolls == 0)
                poll();
            while (run_end(run) <= block * kBlock)
                ++run;
            for_each_slot(structure_, block, [&](const Slot& slot, const std::int32_t*& columns) {
                if (run_end(run) < (block + 1) * kBlock || !add_ends(slot, block, run))
                    for_each_pair(slot, block, columns, [&](index_t row, index_t column) {
                        index_t of_row = run;
                        while (run_end(of_row) <= row)
                            ++of_row;
                        add(row, of_row, column);
                    });
            });
        }
        pack(forward_, to_.forward);
        pack(backward_, to_.backward);
    }

private:
    index_t run_end(index_t run) const { return to_.first_row[static_cast<std::size_t>(run) + 1]; }

    // Where all columns of a slot are neighbours, in one run and one piece of it, the first and the last entry of it
    // tell of those between. The rows are all of one run.
    bool add_ends(const Slot& slot, index_t block, index_t run) {
        if (slot.offset == kGathered)
            return false;
        const auto lanes = static_cast<unsigned>(slot.present);
        const index_t low = block * kBlock + __builtin_ctz(lanes), high = block * kBlock + 31 - __builtin_clz(lanes);
        const index_t other = run_of(low + slot.offset);
        if (run_of(high + slot.offset) != other)
            return false;
        if (other == run)
            return true;
        if (piece_of(low + slot.offset, other) != piece_of(high + slot.offset, other))
            return false;
        add(low, run, low + slot.offset);
        add(high, run, high + slot.offset);
        return true;
    }

    index_t run_of(index_t row) {
        while (row < to_.first_row[static_cast<std::size_t>(last_run_)])
            --last_run_;
        while (row >= to_.first_row[static_cast<std::size_t>(last_run_) + 1])
            ++last_run_;
        return last_run_;
    }

    index_t piece_of(index_t row, index_t run) const {
        const index_t first = to_.first_row[static_cast<std::size_t>(run)];
        return to_.first_piece[static_cast<std::size_t>(run)] + row / kPieceRows - first / kPieceRows;
    }

    void add(index_t row, index_t run, index_t column) {
        const index_t other = run_of(column);
        if (other == run)
            return;
        const bool after = row > column;
        const Need low = {after ? other : run, after ? column : row},
                   high = {after ? run : other, after ? row : column};
        require(forward_[static_cast<std::size_t>(piece_of(high.row, high.run))], low, true);
        require(backward_[static_cast<std::size_t>(piece_of(low.row, low.run))], high, false);
    }

    static void require(std::vector<Need>& needs, const Need& need, bool largest) {
        for (std::size_t k = needs.size(); k-- > 0;)
            if (needs[k].run == need.run) {
                needs[k].row = largest ? std::max(needs[k].row, need.row) : std::min(needs[k].row, need.row);
                return;
            }
        needs.push_back(need);
    }

    static void pack(const std::vector<std::vector<Need>>& from, Needs& to) {
        for (const std::vector<Need>& needs : from) {
            to.first.push_back(static_cast<index_t>(to.all.size()));
            to.all.insert(to.all.end(), needs.begin(), needs.end());
        }
        to.first.push_back(static_cast<index_t>(to.all.size()));
    }

    const Structure& structure_;
    Schedule& to_;
    index_t last_run_ = 0;
    std::vector<std::vector<Need>> forward_, backward_;
};

}  // namespace

Schedule schedule_of(const Structure& structure) {
    Schedule schedule;
    std::vector<index_t> first = beginnings(structure);
    if (static_cast<index_t>(first.size()) < kFewestRuns)
        return schedule;
    first.push_back(structure.rows);
    schedule.first_row = std::move(first);
    Planner(structure, schedule).plan();
    return schedule;
}

}  // namespace sorgum::sor
