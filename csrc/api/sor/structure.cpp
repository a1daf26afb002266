#include "api/sor/structure.h"

#include <algorithm>
#include <string>
#include <unordered_map>

#include "api/call/rows.h"
#include "api/sor/colors.h"
#include "core/error.h"
#include "core/interrupt.h"

namespace sorgum::sor {

namespace {

constexpr index_t kRowsAtOnce = 4096;  // that are looked at before they are used

[[noreturn]] void refuse_row(const char* function, index_t row) {
    throw ValueError(std::string(function) + ": A must have an entry on the diagonal of every row, got none in row " +
                     std::to_string(row));
}

// Rows whose columns ascend.
template <class Index>
struct Rows {
    const Index* indptr;
    const Index* columns;
};

// Finds how the entries of one block after the other lie.
template <class Index>
class Builder {
public:
    Builder(const char* function, Structure& to, const Rows<Index>& from) : function_(function), to_(to), from_(from) {}

    // False if the columns of a row do not ascend.
    bool add_block(index_t block, index_t rows) {
        block_ = block;
        rows_ = rows;
        to_.first_entry.push_back(from_.indptr[block * kBlock]);
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
    index_t begin(index_t i) const { return from_.indptr[place(i)]; }
    index_t end(index_t i) const { return from_.indptr[place(i) + 1]; }

    // What the rows of earlier blocks looked like: on grids others nearly always look like one of the last few.
    struct Look {
        index_t pattern = -1, rows = 0, least_offset = 0, largest_offset = 0;
        Index length[kBlock] = {};
        std::vector<Index> column;  // from the block's first row, of all entries

        bool fits(const Index* indptr, const Index* columns, index_t rows_here, Index place) const {
            if (rows_here != rows)
                return false;
            bool differs = false;
            for (index_t i = 0; i < rows; ++i)
                differs = differs | (indptr[i + 1] - indptr[i] != length[i]);
            if (differs)
                return false;
            const Index* const here = columns + indptr[0];
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
                look.fits(from_.indptr + place(0), from_.columns, rows_, static_cast<Index>(place(0)))) {
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
            if (slot.offset == kGathered)
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
        // A load is worth several that gather, but not many times the memory.
        if (!collect_offsets(2 * (most_left + most_right) + 2))
            align(most_left, most_right);
        index_t inner_left = 0, inner_right = 0;
        const index_t count = static_cast<index_t>(slots_.size());
        for (index_t k = 0; k < count; ++k)
            if (slots_[static_cast<std::size_t>(k)].inner != 0 && k < left_)
                inner_left = std::max(inner_left, left_ - k);
            else if (slots_[static_cast<std::size_t>(k)].inner != 0)
                inner_right = k - left_ + 1;
        pattern_ = {0, left_, count - left_, inner_left, inner_right, rows_};
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

    // The slots are the entries of the rows, counted from the diagonal.
    void align(index_t most_left, index_t most_right) {
        left_ = most_left;
        for (index_t k = 0; k < most_left + most_right; ++k) {
            Slot slot = {kGathered, 0, 0};
            index_t column[kBlock] = {}, offset = kGathered;
            bool same = true;
            for (index_t i = 0; i < rows_; ++i) {
                const index_t at = diagonal_[i] + k - most_left + (k < most_left ? 0 : 1);
                if (at < begin(i) || at >= end(i))
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
    Rows<Index> from_;
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

// Calls see(first row, rows) before it reads them. False if the columns of a row do not ascend: nothing is then built.
template <class Index, class See>
bool build(const char* function, Structure& to, const Rows<Index>& from, See&& see) {
    Builder<Index> builder(function, to, from);
    InterruptPoll poll;
    to.block.reserve(static_cast<std::size_t>(to.blocks));
    to.first_entry.reserve(static_cast<std::size_t>(to.blocks));
    for (index_t block = 0; block < to.blocks; ++block) {
        const index_t first = block * kBlock, all = std::min(kBlock, to.rows - first);
        if (first % kRowsBetweenPolls == 0)
            poll();
        if (first % kRowsAtOnce == 0)
            see(first, std::min(kRowsAtOnce, to.rows - first));
        if (!builder.add_block(block, to.places.rows.empty() ? all : to.places.rows[static_cast<std::size_t>(block)])) {
            to.block.clear();
            to.first_entry.clear();
            to.slot.clear();
            to.pattern.clear();
            to.slots = 0;
            return false;
        }
    }
    builder.finish();
    return true;
}

struct Sorted {
    std::vector<index_t> indptr, columns;
};

// The rows in their places, columns replaced by the places of theirs, ascending; entries in one place become one.
template <class Matrix>
Sorted sorted(const Matrix& a, Structure& to) {
    const auto& places = to.places.of_row;
    const auto place = [&](index_t row) { return places.empty() ? row : places[static_cast<std::size_t>(row)]; };
    std::vector<index_t> row_at(static_cast<std::size_t>(to.padded_rows()), -1);
    for (index_t i = 0; i < to.rows; ++i)
        row_at[static_cast<std::size_t>(place(i))] = i;
    Sorted rows;
    rows.indptr.push_back(0);
    struct Entry {
        index_t column, source;
    };
    std::vector<Entry> row;
    InterruptPoll poll;
    for (const index_t i : row_at) {
        if (rows.indptr.size() % kRowsBetweenPolls == 0)
            poll();
        row.clear();
        for (index_t k = i < 0 ? 0 : a.indptr[i]; i >= 0 && k < a.indptr[i + 1]; ++k)
            row.push_back({place(a.indices[k]), k});
        std::sort(row.begin(), row.end(), [](const Entry& a, const Entry& b) {
            return a.column < b.column || (a.column == b.column && a.source < b.source);
        });
        for (std::size_t k = 0; k < row.size(); ++k) {
            if (k == 0 || row[k].column != row[k - 1].column) {
                rows.columns.push_back(row[k].column);
                to.sources.first.push_back(static_cast<index_t>(to.sources.entry.size()));
            }
            to.sources.entry.push_back(row[k].source);
        }
        rows.indptr.push_back(static_cast<index_t>(rows.columns.size()));
    }
    to.sources.first.push_back(static_cast<index_t>(to.sources.entry.size()));
    if (to.sources.first.size() == to.sources.entry.size() + 1)
        to.sources.first.clear();
    return rows;
}

}  // namespace

index_t Structure::row_of(index_t place) const {
    if (places.of_row.empty())
        return place;
    return std::find(places.of_row.begin(), places.of_row.end(), place) - places.of_row.begin();
}

Structure structure_of(const char* function, const CheckedCsr& checked, Order order) {
    const index_t n = checked.rows();
    if (n != checked.columns()) {
        const index_t shape[] = {n, checked.columns()};
        throw ValueError(std::string(function) + ": A must be square, got shape " + shape_text(shape, 2));
    }
    const auto see = [&](index_t first, index_t rows) {
        if (!checked.holds(first, rows))
            checked.refuse();
    };
    Structure to;
    to.rows = n;
    to.blocks = ceil_div(n, kBlock);
    to.entries = checked.entries();
    checked.with_type([&](const auto& a) {
        using Index = std::remove_cv_t<std::remove_pointer_t<decltype(a.indptr)>>;
        if (order == Order::natural && build(function, to, Rows<Index>{a.indptr, a.indices}, see))
            return;
        for_each_range(0, n, kRowsAtOnce, [&](index_t first, index_t last) { see(first, last - first); });
        if (order == Order::multicolor) {
            to.places = places_by_color(a, n);
            to.blocks = static_cast<index_t>(to.places.rows.size());
        }
        const Sorted rows = sorted(a, to);
        build(function, to, Rows<index_t>{rows.indptr.data(), rows.columns.data()}, [](index_t, index_t) {});
    });
    return to;
}

}  // namespace sorgum::sor
