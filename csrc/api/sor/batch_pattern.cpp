#include "api/sor/batch_pattern.h"

#include <algorithm>
#include <string>
#include <type_traits>

#include "api/call/rows.h"
#include "core/error.h"
#include "core/interrupt.h"
#include "kernels/sor/blocks.h"

namespace sorgum::sor {

namespace {

constexpr index_t kRowsBetweenLooks = 256;

// Of one row: entries in the order of their columns, those in one place as they are stored.
struct Entry {
    index_t column, at;
};

void add(const std::vector<Entry>& entries, index_t i, BatchPattern& to) {
    const index_t block = i / kBlock * kBlock;
    BatchRow row = {static_cast<index_t>(to.columns.size()), -1, -1};
    for (std::size_t k = 0; k < entries.size(); ++k) {
        const index_t column = entries[k].column;
        const bool again = k > 0 && entries[k - 1].column == column;
        if (column == i) {
            to.diagonal_source.push_back(entries[k].at);
            continue;
        }
        if (!again) {
            const index_t here = static_cast<index_t>(to.columns.size());
            if (column >= block && row.inner < 0)
                row.inner = here;
            if (column > i && row.right < 0)
                row.right = here;
            to.columns.push_back(static_cast<std::int32_t>(column));
            to.first.push_back(static_cast<index_t>(to.source.size()));
        }
        to.source.push_back(entries[k].at);
    }
    const index_t end = static_cast<index_t>(to.columns.size());
    row.right = row.right < 0 ? end : row.right;
    row.inner = row.inner < 0 ? end : row.inner;
    to.row.push_back(row);
}

}  // namespace

index_t BatchPattern::row_of(index_t entry) const {
    const auto after =
        std::upper_bound(row.begin(), row.end(), entry, [](index_t k, const BatchRow& r) { return k < r.begin; });
    return after - row.begin() - 1;
}

BatchPattern batch_pattern(const char* function, const CheckedCsr& a) {
    const std::string prefix = std::string(function) + ": A must ";
    const index_t shape[] = {a.rows(), a.columns()};
    if (a.rows() != a.columns())
        throw ValueError(prefix + "be square, got shape " + shape_text(shape, 2));
    if (a.rows() > INT32_MAX)
        throw ValueError(prefix + "have fewer than 2**31 rows, got " + std::to_string(a.rows()));
    BatchPattern made;
    made.rows = a.rows();
    made.entries = a.entries();
    std::vector<Entry> entries;
    InterruptPoll poll;
    a.with_type([&](const auto& matrix) {
        for (index_t i = 0; i < made.rows; ++i) {
            if (i % kRowsBetweenLooks == 0)
                poll();
            if (!a.holds(i, 1))
                a.refuse();
            entries.clear();
            for (index_t k = matrix.indptr[i]; k < matrix.indptr[i + 1]; ++k)
                entries.push_back({matrix.indices[k], k});
            std::stable_sort(entries.begin(), entries.end(),
                             [](const Entry& p, const Entry& q) { return p.column < q.column; });
            made.diagonal_first.push_back(static_cast<index_t>(made.diagonal_source.size()));
            add(entries, i, made);
            if (made.diagonal_first.back() == static_cast<index_t>(made.diagonal_source.size()))
                throw ValueError(prefix + "have an entry on the diagonal of every row, got none in row " +
                                 std::to_string(i));
        }
    });
    const index_t end = static_cast<index_t>(made.columns.size());
    made.row.push_back({end, end, end});
    made.first.push_back(static_cast<index_t>(made.source.size()));
    made.diagonal_first.push_back(static_cast<index_t>(made.diagonal_source.size()));
    return made;
}

}  // namespace sorgum::sor
