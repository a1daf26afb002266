// How the entries of 16 rows lie: the patterns and the columns of a structure, block by block.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "api/sor/structure.h"
#include "core/error.h"

namespace sorgum::sor {

[[noreturn]] inline void refuse_row(const char* function, index_t row) {
    throw ValueError(std::string(function) + ": A must have an entry on the diagonal of every row, got none in row " +
                     std::to_string(row));
}

// The rows of a block: entry k of all is in column columns[k - first[0]].
template <class Index>
struct BlockRows {
    const Index* first;  // entry of each row, and behind the last one
    const Index* columns;
};

// Finds how the entries of one block after the other lie.
template <class Index>
class BlockBuilder {
public:
    BlockBuilder(const char* function, Structure& to) : function_(function), to_(to) {}

    // False if the columns of a row do not ascend.
    bool add_block(index_t block, index_t rows, const BlockRows<Index>& from) {
        block_ = block;
        rows_ = rows;
        from_ = from;
        to_.first_entry.push_back(from.first[0]);
        Block added = {known_pattern(), to_.slots, gathered_slots()};
        if (added.pattern < 0) {
            if (!ascends())
                return false;
            find_slots();
            added.pattern = pattern_of_slots();
            remember(added.pattern);
        }
        const Pattern& pattern = to_.pattern[static_cast<std::size_t>(added.pattern)];
        to_.slots += pattern.left + pattern.right;
        to_.block.push_back(added);
        return true;
    }

    void finish() {
        to_.gathered = gathered_slots();
        to_.block.push_back({0, to_.slots, to_.gathered});
        to_.columns.reserve(to_.gathered * kBlock + 1);
        std::copy(columns_.begin(), columns_.end(), to_.columns.data());
    }

private:
    index_t gathered_slots() const { return static_cast<index_t>(columns_.size()) / kBlock; }
    index_t place(index_t i) const { return block_ * kBlock + i; }
    index_t begin(index_t i) const { return from_.first[i] - from_.first[0]; }
    index_t end(index_t i) const { return begin(i + 1); }

    // What the rows of earlier blocks looked like: on grids others nearly always look like one of the last few.
    struct Look {
        index_t pattern = -1, rows = 0, least_offset = 0, largest_offset = 0;
        Index length[kBlock] = {};
        std::vector<Index> column;  // from the block's first row, of all entries

        bool fits(const BlockRows<Index>& from, index_t rows_here, Index place) const {
            if (rows_here != rows)
                return false;
            bool differs = false;
            for (index_t i = 0; i < rows; ++i)
                differs = differs | (from.first[i + 1] - from.first[i] != length[i]);
            if (differs)
                return false;
            const Index* const here = from.columns;
            const std::size_t count = column.size();
            Index difference = 0;
            for (std::size_t k = 0; k < count; ++k)
                difference = difference | (static_cast<Index>(here[k] - column[k]) ^ place);
            return difference == 0;
        }
    };

    // The number of the pattern that the block has, if it looks like one of the last few; else -1.
    index_t known_pattern() {
        for (std::size_t k = 0; k < kLooks; ++k) {
            const std::size_t at = (found_ + k) % kLooks;
            const Look& look = looks_[at];
            if (look.pattern >= 0 && loads_inside(look.least_offset) && loads_inside(look.largest_offset) &&
                look.fits(from_, rows_, static_cast<Index>(place(0)))) {
                found_ = at;
                return look.pattern;
            }
        }
        return -1;
    }

    // Unless it has columns of its own, which no other block has.
    void remember(index_t pattern) {
        Look look;
        for (const Slot& slot : slots_) {
            if (slot.offset <= kOneRow)
                return;
            look.least_offset = std::min(look.least_offset, slot.offset);
            look.largest_offset = std::max(look.largest_offset, slot.offset);
        }
        look.pattern = pattern;
        look.rows = rows_;
        for (index_t i = 0; i < rows_; ++i)
            look.length[i] = static_cast<Index>(end(i) - begin(i));
        for (index_t at = begin(0); at < end(rows_ - 1); ++at)
            look.column.push_back(static_cast<Index>(from_.columns[at] - place(0)));
        found_ = next_;
        looks_[next_] = std::move(look);
        next_ = (next_ + 1) % kLooks;
    }

    bool ascends() const {
        for (index_t i = 0; i < rows_; ++i)
            for (index_t at = begin(i) + 1; at < end(i); ++at)
                if (from_.columns[at - 1] >= from_.columns[at])
                    return false;
        return true;
    }

    // Whether 16 elements of x may be loaded at this distance from the block's rows.
    bool loads_inside(index_t offset) const {
        const index_t first = place(0) + offset;
        return first >= 0 && first + kBlock <= vector_length();
    }
    // In natural order vectors are the caller's.
    index_t vector_length() const { return to_.places.rows.empty() ? to_.rows : to_.padded_rows(); }

    void find_slots() {
        index_t most_left = 0, most_right = 0;
        for (index_t i = 0; i < rows_; ++i) {
            const Index *const first = from_.columns + begin(i), *const stop = from_.columns + end(i);
            const Index* const diagonal = std::lower_bound(first, stop, static_cast<Index>(place(i)));
            if (diagonal == stop || *diagonal != place(i))
                refuse_row(function_, to_.row_of(place(i)));
            diagonal_[i] = diagonal - from_.columns;
            most_left = std::max<index_t>(most_left, diagonal - first);
            most_right = std::max<index_t>(most_right, stop - diagonal - 1);
        }
        slots_.clear();
        // A load is worth several that gather, but not many times the memory: one long row is not looked at.
        if (!collect_offsets(2 * second_length() + 2))
            align(most_left, most_right);
        index_t inner_left = 0, inner_right = 0;
        const index_t count = static_cast<index_t>(slots_.size());
        for (index_t k = 0; k < count; ++k)
            if (slots_[static_cast<std::size_t>(k)].inner != 0 && k < left_)
                inner_left = std::max(inner_left, left_ - k);
            else if (slots_[static_cast<std::size_t>(k)].inner != 0)
                inner_right = k - left_ + 1;
        const bool one_row =
            std::any_of(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.offset == kOneRow; });
        const bool plain = std::all_of(slots_.begin(), slots_.end(), [](const Slot& slot) {
            return slot.offset > kOneRow && slot.present == 0xFFFF;
        });
        pattern_ = {0, left_, count - left_, inner_left, inner_right, rows_, one_row, plain && rows_ == kBlock};
    }

    // Of the longest row but one.
    index_t second_length() const {
        index_t first = 0, second = 0;
        for (index_t i = 0; i < rows_; ++i) {
            const index_t length = end(i) - begin(i);
            second = std::max(second, std::min(first, length));
            first = std::max(first, length);
        }
        return second;
    }

    // The slots are the distances from the diagonal, if there are few.
    bool collect_offsets(index_t most) {
        offsets_.clear();
        for (index_t i = 0; i < rows_; ++i) {
            merged_.clear();
            std::size_t k = 0;
            for (index_t at = begin(i); at < end(i); ++at) {
                const index_t offset = from_.columns[at] - place(i);
                while (k < offsets_.size() && offsets_[k] < offset)
                    merged_.push_back(offsets_[k++]);
                k += k < offsets_.size() && offsets_[k] == offset ? 1 : 0;
                merged_.push_back(offset);
            }
            merged_.insert(merged_.end(), offsets_.begin() + static_cast<std::ptrdiff_t>(k), offsets_.end());
            offsets_.swap(merged_);
            if (static_cast<index_t>(offsets_.size()) > most)
                return false;
        }
        left_ = 0;
        for (const index_t offset : offsets_) {
            left_ += offset < 0 ? 1 : 0;
            if (offset != 0)
                slots_.push_back({offset, 0, 0});
        }
        for (index_t i = 0; i < rows_; ++i) {
            std::size_t k = 0;
            for (index_t at = begin(i); at < end(i); ++at) {
                if (at == diagonal_[i])
                    continue;
                while (slots_[k].offset != from_.columns[at] - place(i))
                    ++k;
                mark(slots_[k], i, at);
            }
        }
        for (Slot& slot : slots_)
            if (!loads_inside(slot.offset)) {
                const index_t offset = slot.offset;
                slot.offset = kGathered;
                add_columns([&](index_t i) { return (slot.present >> i & 1) != 0 ? i + offset : 0; });
            }
        return true;
    }

    // The entry of a row at a place counted from the diagonal, which the first `most_left` ones are left of; -1 if the
    // row is too short.
    index_t entry_at(index_t i, index_t k, index_t most_left) const {
        const index_t found = diagonal_[i] + k - most_left + (k < most_left ? 0 : 1);
        return found < begin(i) || found >= end(i) ? -1 : found;
    }

    // The one row that is long enough, if all entries from there on to `last` lie outside of the block.
    index_t only_row(index_t k, index_t last, index_t most_left) const {
        index_t only = -1;
        for (index_t i = 0; i < rows_; ++i) {
            const bool has = entry_at(i, k, most_left) >= 0 || entry_at(i, last, most_left) >= 0;
            if (has && only >= 0)
                return -1;
            only = has ? i : only;
        }
        const index_t nearest = from_.columns[entry_at(only, k < most_left ? last : k, most_left)];
        return nearest >= place(0) && nearest < place(kBlock) ? -1 : only;
    }

    // The slots are the entries of the rows, counted from the diagonal; 16 at once where there is only one such row.
    void align(index_t most_left, index_t most_right) {
        left_ = most_left;
        for (index_t k = 0; k < most_left + most_right; ++k) {
            const index_t last = k + kBlock - 1;
            const bool fit = last < (k < most_left ? most_left : most_left + most_right);
            const index_t only = fit ? only_row(k, last, most_left) : -1;
            if (only >= 0) {
                slots_.push_back({kOneRow, static_cast<std::uint16_t>(1u << only), 0});
                add_columns([&](index_t e) { return from_.columns[entry_at(only, k + e, most_left)] - place(0); });
                left_ -= k < most_left ? kBlock - 1 : 0;
                k = last;
                continue;
            }
            Slot slot = {kGathered, 0, 0};
            index_t column[kBlock] = {}, offset = kGathered;
            bool same = true;
            for (index_t i = 0; i < rows_; ++i) {
                const index_t at = entry_at(i, k, most_left);
                if (at < 0)
                    continue;
                mark(slot, i, at);
                column[i] = from_.columns[at] - place(0);
                same = same && (offset == kGathered || offset == column[i] - i);
                offset = column[i] - i;
            }
            if (same && loads_inside(offset))
                slot.offset = offset;
            else
                add_columns([&](index_t i) { return column[i]; });
            slots_.push_back(slot);
        }
    }

    void mark(Slot& slot, index_t i, index_t at) const {
        const index_t column = from_.columns[at];
        slot.present = static_cast<std::uint16_t>(slot.present | 1u << i);
        if (column >= place(0) && column < place(kBlock))
            slot.inner = static_cast<std::uint16_t>(slot.inner | 1u << i);
    }

    template <class Column>
    void add_columns(Column&& column) {
        for (index_t i = 0; i < kBlock; ++i) {
            const index_t difference = column(i);
            if (difference != static_cast<std::int32_t>(difference))
                throw ValueError(
                    std::string(function_) +
                    ": A must have its entries within 2^31 columns of the diagonal, got one that is not in "
                    "row " +
                    std::to_string(to_.row_of(place(i))));
            columns_.push_back(static_cast<std::int32_t>(difference));
            to_.reach = std::max(to_.reach, std::abs(difference) + kBlock);
        }
    }

    // The number of the pattern, which is added if it is new.
    index_t pattern_of_slots() {
        std::uint64_t hash = static_cast<std::uint64_t>(pattern_.left * 31 + rows_);
        for (const Slot& slot : slots_)
            hash = (hash ^ static_cast<std::uint64_t>(slot.offset) ^ std::uint64_t(slot.present) << 32) *
                   0x9E3779B97F4A7C15u;  // 2^64 over the golden ratio: Knuth 1998, section 6.4
        const auto range = known_.equal_range(hash);
        for (auto found = range.first; found != range.second; ++found)
            if (equals(to_.pattern[static_cast<std::size_t>(found->second)]))
                return found->second;
        const index_t number = static_cast<index_t>(to_.pattern.size());
        pattern_.slots = static_cast<index_t>(to_.slot.size());
        to_.slot.insert(to_.slot.end(), slots_.begin(), slots_.end());
        to_.pattern.push_back(pattern_);
        for (const Slot& slot : slots_)
            to_.reach = std::max(to_.reach, slot.offset > kOneRow ? std::abs(slot.offset) : 0);
        known_.emplace(hash, number);
        return number;
    }

    bool equals(const Pattern& other) const {
        if (other.left != pattern_.left || other.right != pattern_.right || other.rows != rows_)
            return false;
        return std::equal(slots_.begin(), slots_.end(), to_.slot.begin() + other.slots,
                          [](const Slot& a, const Slot& b) {
                              return a.offset == b.offset && a.present == b.present && a.inner == b.inner;
                          });
    }

    const char* function_;
    Structure& to_;
    BlockRows<Index> from_ = {};
    static constexpr std::size_t kLooks =
        16;  // more than there are kinds of blocks along a line of a grid, and around it
    Look looks_[kLooks];
    std::size_t found_ = 0, next_ = 0;
    index_t block_ = 0, rows_ = 0, left_ = 0;
    index_t diagonal_[kBlock] = {};
    Pattern pattern_ = {};
    std::vector<Slot> slots_;
    std::vector<index_t> offsets_, merged_;
    std::vector<std::int32_t> columns_;
    std::unordered_multimap<std::uint64_t, index_t> known_;
};

}  // namespace sorgum::sor
