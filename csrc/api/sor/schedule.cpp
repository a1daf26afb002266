#include "api/sor/schedule.h"

#include <algorithm>
#include <utility>

#include "core/interrupt.h"

namespace sorgum::sor {

namespace {

constexpr index_t kLeastReach = 32;  // rows that a run's first one is apart from those that it depends on
constexpr index_t kEnoughRuns = 32;  // for threads to share
constexpr index_t kFewestRuns = 2;
constexpr index_t kPieces = 4;  // of a run: so many threads can follow each other
constexpr index_t kMostPieceRows = 256;

index_t at(const std::vector<index_t>& v, index_t i) { return v[static_cast<std::size_t>(i)]; }

// Calls visit(first row, last row, column - row) for entries of neighbouring rows at one distance from the diagonal.
template <class Visit>
void for_each_stretch(const Structure& structure, Visit&& visit) {
    InterruptPoll poll;
    for (index_t block = 0, end; block < structure.blocks; block = end) {
        const index_t number = structure.block[static_cast<std::size_t>(block)].pattern;
        const Pattern& pattern = structure.pattern_of(block);
        end = block + 1;
        while (end < structure.blocks && end - block < kRowsBetweenPolls &&
               structure.block[static_cast<std::size_t>(end)].pattern == number)
            ++end;
        poll();
        const index_t gathered = [&] {
            index_t count = 0;
            for (index_t k = 0; k < pattern.left + pattern.right; ++k)
                count += structure.slot[static_cast<std::size_t>(pattern.slots + k)].offset <= kOneRow ? 1 : 0;
            return count;
        }();
        const std::int32_t* const columns =
            structure.columns.data() + structure.block[static_cast<std::size_t>(block)].columns * kBlock;
        index_t before = 0;  // gathered slots
        for (index_t k = 0; k < pattern.left + pattern.right; ++k) {
            const Slot& slot = structure.slot[static_cast<std::size_t>(pattern.slots + k)];
            if (slot.offset > kOneRow && slot.present == 0xFFFF) {
                visit(block * kBlock, end * kBlock - 1, slot.offset);
                continue;
            }
            for (index_t b = block; b < end; ++b) {
                const std::int32_t* const own = columns + ((b - block) * gathered + before) * kBlock;
                if (slot.offset == kOneRow) {
                    const index_t i = __builtin_ctz(slot.present), row = b * kBlock + i;
                    for (index_t k = 0; k < kBlock; ++k)
                        visit(row, row, own[k] - i);
                    continue;
                }
                const auto offset = [&](index_t i) { return slot.offset == kGathered ? own[i] - i : slot.offset; };
                for (index_t i = 0, last; i < kBlock; i = last + 1) {
                    last = i;
                    if ((slot.present >> i & 1) == 0)
                        continue;
                    while (last + 1 < kBlock && (slot.present >> (last + 1) & 1) != 0 && offset(last + 1) == offset(i))
                        ++last;
                    visit(b * kBlock + i, b * kBlock + last, offset(i));
                }
            }
            before += slot.offset <= kOneRow ? 1 : 0;
        }
    }
}

// The rows that begin runs. They lie far from what they depend on: as far as can be asked for and leave enough runs.
std::vector<index_t> beginnings(const Structure& structure) {
    std::vector<index_t> reach(static_cast<std::size_t>(structure.rows), INT64_MAX);  // to the last row it depends on
    for_each_stretch(structure, [&](index_t first, index_t last, index_t offset) {
        const index_t distance = std::abs(offset), shift = std::max<index_t>(offset, 0);
        for (index_t* of = reach.data() + first + shift; of <= reach.data() + last + shift; ++of)
            *of = std::min(*of, distance);
    });
    std::vector<index_t> found;
    InterruptPoll poll;
    for (index_t least = index_t(1) << 40; least >= kLeastReach; least /= 2) {
        poll();
        found = {0};
        for (index_t i = 1; i < structure.rows; ++i)
            if (at(reach, i) >= least && i - found.back() >= kLeastReach)
                found.push_back(i);
        if (static_cast<index_t>(found.size()) >= kEnoughRuns)
            break;
    }
    return found;
}

class Planner {
public:
    Planner(const Structure& structure, const std::vector<index_t>& runs) : structure_(structure) {
        const index_t count = static_cast<index_t>(runs.size());
        const index_t rows = std::clamp(structure.rows / count / kPieces, kBlock, kMostPieceRows) / kBlock * kBlock;
        for (index_t run = 0; run < count; ++run) {
            const index_t first = at(runs, run), end = run + 1 < count ? at(runs, run + 1) : structure.rows;
            to_.first_piece.push_back(pieces());
            for (index_t row = first; row < end; row = (row / kBlock + rows / kBlock) * kBlock) {
                to_.first_row.push_back(row);
                run_.push_back(run);
            }
        }
        to_.first_piece.push_back(pieces());
        forward_.resize(run_.size());
        backward_.resize(run_.size());
        to_.first_row.push_back(structure.rows);
        for (index_t row = 0, piece = 0; row < structure.rows; row += kBlock) {
            while (at(to_.first_row, piece + 1) <= row)
                ++piece;
            of_block_.push_back(piece);
        }
    }

    Schedule plan() {
        for_each_stretch(structure_, [&](index_t first, index_t last, index_t offset) {
            for (index_t row = first, end; row <= last; row = end) {
                const index_t piece = piece_at(row), other = piece_at(row + offset);
                end = std::min({last + 1, at(to_.first_row, piece + 1), at(to_.first_row, other + 1) - offset});
                if (at(run_, piece) != at(run_, other))
                    couple(std::min(piece, other), std::max(piece, other));
            }
        });
        pack(forward_, to_.forward);
        pack(backward_, to_.backward);
        return std::move(to_);
    }

private:
    index_t pieces() const { return static_cast<index_t>(run_.size()); }

    index_t piece_at(index_t row) const {
        index_t piece = at(of_block_, row / kBlock);
        while (at(to_.first_row, piece + 1) <= row)
            ++piece;
        return piece;
    }

    void couple(index_t low, index_t high) {
        require(forward_[static_cast<std::size_t>(high)], low, true);
        require(backward_[static_cast<std::size_t>(low)], high, false);
    }

    // Of each run only the piece that is swept last is waited for.
    void require(std::vector<Need>& needs, index_t piece, bool largest) const {
        const index_t run = at(run_, piece);
        const auto known =
            std::find_if(needs.rbegin(), needs.rend(), [&](const Need& need) { return need.run == run; });
        if (known == needs.rend())
            needs.push_back({run, piece});
        else
            known->piece = largest ? std::max(known->piece, piece) : std::min(known->piece, piece);
    }

    static void pack(const std::vector<std::vector<Need>>& from, Needs& to) {
        for (const std::vector<Need>& needs : from) {
            to.first.push_back(static_cast<index_t>(to.all.size()));
            to.all.insert(to.all.end(), needs.begin(), needs.end());
        }
        to.first.push_back(static_cast<index_t>(to.all.size()));
    }

    const Structure& structure_;
    Schedule to_;
    std::vector<index_t> run_;       // of each piece
    std::vector<index_t> of_block_;  // the piece in which a block begins
    std::vector<std::vector<Need>> forward_, backward_;
};

}  // namespace

Schedule schedule_of(const Structure& structure) {
    const std::vector<index_t> runs = beginnings(structure);
    if (static_cast<index_t>(runs.size()) < kFewestRuns)
        return {};
    return Planner(structure, runs).plan();
}

}  // namespace sorgum::sor
