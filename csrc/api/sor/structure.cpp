#include "api/sor/structure.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <type_traits>

#include "api/sor/block_builder.h"
#include "api/sor/colors.h"
#include "core/error.h"
#include "core/interrupt.h"

namespace sorgum::sor {

namespace {

constexpr index_t kRowsAtOnce = 4096;  // that are looked at before they are used

// Calls see(first row, rows) before it reads them. False if the columns of a row do not ascend: nothing is then built.
template <class Matrix, class See>
bool build_as_stored(const char* function, Structure& to, const Matrix& a, See&& see) {
    using Index = std::remove_cv_t<std::remove_pointer_t<decltype(a.indptr)>>;
    BlockBuilder<Index> builder(function, to);
    InterruptPoll poll;
    to.block.reserve(static_cast<std::size_t>(to.blocks) + 1);
    to.first_entry.reserve(static_cast<std::size_t>(to.blocks));
    for (index_t block = 0; block < to.blocks; ++block) {
        const index_t first = block * kBlock;
        if (first % kRowsBetweenPolls == 0)
            poll();
        if (first % kRowsAtOnce == 0)
            see(first, std::min(kRowsAtOnce, to.rows - first));
        const BlockRows<Index> rows = {a.indptr + first, a.indices + a.indptr[first]};
        if (!builder.add_block(block, std::min(kBlock, to.rows - first), rows)) {
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

// Rows that are brought to their places one by one: columns replaced by the places of theirs, ascending, and entries in
// one place made one.
template <class Matrix>
class Sorter {
public:
    Sorter(const Matrix& a, Structure& to) : a_(a), to_(to) { to.sources.entry.reserve(to.entries + 1); }

    void begin_block() {
        first_.assign(1, entries_);
        columns_.clear();
    }
    void add(index_t row) {
        const auto& places = to_.places.of_row;
        row_.clear();
        bool ascend = true;
        for (index_t k = a_.indptr[row]; k < a_.indptr[row + 1]; ++k) {
            const index_t column = a_.indices[k];
            row_.push_back({places.empty() ? column : places[static_cast<std::size_t>(column)], k});
            ascend = ascend && (row_.size() == 1 || row_[row_.size() - 2].column <= row_.back().column);
        }
        if (!ascend)
            sort();
        index_t* const entry = to_.sources.entry.data();
        for (std::size_t k = 0; k < row_.size(); ++k) {
            if (k > 0 && row_[k].column == row_[k - 1].column) {
                join();
            } else {
                columns_.push_back(row_[k].column);
                if (joined_)
                    to_.sources.first.push_back(stored_);
                ++entries_;
            }
            entry[stored_++] = row_[k].source;
        }
        first_.push_back(entries_);
    }
    BlockRows<index_t> rows() const { return {first_.data(), columns_.data()}; }

    void finish() {
        if (joined_)
            to_.sources.first.push_back(stored_);
    }

private:
    struct Entry {
        index_t column, source;
    };

    // Rows are short, as a rule, and nearly in order.
    void sort() {
        constexpr std::size_t few = 32;
        const auto before = [](const Entry& a, const Entry& b) {
            return a.column < b.column || (a.column == b.column && a.source < b.source);
        };
        if (row_.size() > few)
            return std::sort(row_.begin(), row_.end(), before);
        for (std::size_t k = 1; k < row_.size(); ++k) {
            const Entry entry = row_[k];
            std::size_t at = k;
            for (; at > 0 && before(entry, row_[at - 1]); --at)
                row_[at] = row_[at - 1];
            row_[at] = entry;
        }
    }

    // Until now each entry was alone in its place.
    void join() {
        if (joined_)
            return;
        joined_ = true;
        to_.sources.first.resize(static_cast<std::size_t>(entries_));
        std::iota(to_.sources.first.begin(), to_.sources.first.end(), index_t(0));
    }

    const Matrix& a_;
    Structure& to_;
    bool joined_ = false;
    index_t stored_ = 0, entries_ = 0;  // as the matrix has them, and without those that were joined
    std::vector<Entry> row_;
    std::vector<index_t> first_, columns_;
};

template <class Matrix>
void build_sorted(const char* function, Structure& to, const Matrix& a) {
    const auto& places = to.places.of_row;
    std::vector<index_t> row_at(places.empty() ? 0 : static_cast<std::size_t>(to.padded_rows()), -1);
    for (std::size_t i = 0; i < places.size(); ++i)
        row_at[static_cast<std::size_t>(places[i])] = static_cast<index_t>(i);
    Sorter<Matrix> sorter(a, to);
    BlockBuilder<index_t> builder(function, to);
    InterruptPoll poll;
    to.block.reserve(static_cast<std::size_t>(to.blocks) + 1);
    to.first_entry.reserve(static_cast<std::size_t>(to.blocks));
    for (index_t block = 0; block < to.blocks; ++block) {
        const index_t first = block * kBlock;
        const index_t rows =
            places.empty() ? std::min(kBlock, to.rows - first) : to.places.rows[static_cast<std::size_t>(block)];
        if (first % kRowsBetweenPolls == 0)
            poll();
        sorter.begin_block();
        for (index_t i = first; i < first + rows; ++i)
            sorter.add(places.empty() ? i : row_at[static_cast<std::size_t>(i)]);
        builder.add_block(block, rows, sorter.rows());
    }
    builder.finish();
    sorter.finish();
}

}  // namespace

index_t Structure::row_of(index_t place) const {
    if (places.of_row.empty())
        return place;
    return std::find(places.of_row.begin(), places.of_row.end(), place) - places.of_row.begin();
}

Structure structure_of(const char* function, const CheckedCsr& checked, Order order) {
    require_square(function, checked);
    const index_t n = checked.rows();
    const auto see = [&](index_t first, index_t rows) {
        if (!checked.holds(first, rows))
            checked.refuse();
    };
    Structure to;
    to.rows = n;
    to.blocks = ceil_div(n, kBlock);
    to.entries = checked.entries();
    checked.with_type([&](const auto& a) {
        if (order == Order::natural && build_as_stored(function, to, a, see))
            return;
        for_each_range(0, n, kRowsAtOnce, [&](index_t first, index_t last) { see(first, last - first); });
        if (order != Order::natural) {
            to.places = places_by_color(a, n, order);
            to.blocks = static_cast<index_t>(to.places.rows.size());
        }
        build_sorted(function, to, a);
    });
    return to;
}

}  // namespace sorgum::sor
