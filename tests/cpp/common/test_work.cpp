// How work is cut: ranges cover what they are to cover, each once and in order, all but the last of one length.
#include "api/call/work.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "check.h"
#include "core/parallel.h"

using namespace sorgum;

namespace {

using Ranges = std::vector<std::pair<index_t, index_t>>;

Ranges in_turn(index_t begin, index_t end, index_t step) {
    Ranges seen;
    for_each_range(begin, end, step, [&](index_t from, index_t to) { seen.emplace_back(from, to); });
    return seen;
}

void ranges() {
    CHECK(in_turn(0, 0, 4).empty() && in_turn(7, 7, 4).empty() && in_turn(7, 5, 4).empty());
    CHECK((in_turn(0, 3, 4) == Ranges{{0, 3}}));
    CHECK((in_turn(0, 4, 4) == Ranges{{0, 4}}));
    CHECK((in_turn(2, 11, 4) == Ranges{{2, 6}, {6, 10}, {10, 11}}));
    // No sum beyond what index_t holds.
    CHECK((in_turn(INT64_MAX - 5, INT64_MAX, 4) == Ranges{{INT64_MAX - 5, INT64_MAX - 1}, {INT64_MAX - 1, INT64_MAX}}));
    CHECK((in_turn(3, 9, INT64_MAX) == Ranges{{3, 9}}));
    CHECK(ceil_div(0, 4) == 0 && ceil_div(4, 4) == 1 && ceil_div(5, 4) == 2);
    CHECK(ceil_div(INT64_MAX, 2) == (index_t(1) << 62));
}

void tasks() {
    set_num_threads(3);
    for (const index_t n : {0, 1, 3, 4, 5, 12, 13}) {
        const Ranges expected = in_turn(0, n, 4);
        Ranges seen(expected.size());
        parallel_for_ranges(n, 4, 3, [&](index_t begin, index_t end, int slot) {
            CHECK(slot >= 0 && slot < 3);
            seen[static_cast<std::size_t>(begin / 4)] = {begin, end};
        });
        CHECK(seen == expected);
        for (std::size_t i = 0; i < expected.size(); ++i) {
            const Range range = nth_range(n, 4, static_cast<index_t>(i));
            CHECK(range.begin == expected[i].first && range.end == expected[i].second);
        }
        std::vector<Ranges> of_rows(5, Ranges(expected.size()));
        parallel_for_row_ranges(5, n, 4, 3, [&](index_t row, index_t begin, index_t end, int) {
            of_rows[static_cast<std::size_t>(row)][static_cast<std::size_t>(begin / 4)] = {begin, end};
        });
        CHECK(of_rows == std::vector<Ranges>(5, expected));
    }
}

}  // namespace

int main() {
    ranges();
    tasks();
    return check::finish();
}
