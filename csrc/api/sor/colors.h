// An order of rows in which those of a color do not depend on each other.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "api/sor/structure.h"
#include "core/interrupt.h"

namespace sorgum::sor {

// Greedy first fit on A + A^T: row after row takes the first color that none of its neighbours before it has. A row
// tells those after it, in whose columns they may have no entry, of its color. Colors are given 64 at a time: whoever
// finds none of them free waits for the next ones, and does not matter to those who do.
template <class Matrix>
std::vector<std::int32_t> first_fit(const Matrix& a, index_t n) {
    std::vector<std::int32_t> colors(static_cast<std::size_t>(n), -1);
    std::vector<std::uint64_t> taken(static_cast<std::size_t>(n));  // a bit for each color
    InterruptPoll poll;
    bool all = false;
    for (std::int32_t first = 0; !all; first += 64) {
        all = true;
        std::fill(taken.begin(), taken.end(), 0);
        for (index_t i = 0; i < n; ++i) {
            if (i % kRowsBetweenPolls == 0)
                poll();
            std::int32_t& own = colors[static_cast<std::size_t>(i)];
            if (own >= 0 && own < first)
                continue;
            std::uint64_t used = taken[static_cast<std::size_t>(i)];
            for (index_t k = a.indptr[i]; k < a.indptr[i + 1]; ++k) {
                const std::int32_t color = colors[static_cast<std::size_t>(a.indices[k])] - first;
                used |= color >= 0 && a.indices[k] < i ? std::uint64_t(1) << color : 0;
            }
            own = used == ~std::uint64_t(0) ? -1 : first + __builtin_ctzll(~used);
            all = all && own >= 0;
            if (own >= 0)
                for (index_t k = a.indptr[i]; k < a.indptr[i + 1]; ++k)
                    if (a.indices[k] > i)
                        taken[static_cast<std::size_t>(a.indices[k])] |= std::uint64_t(1) << (own - first);
        }
    }
    return colors;
}

// The graph of groups of rows that stand together: whole ones, and what of them has entries in common.
struct Groups {
    std::vector<index_t> indptr, indices;
};

template <class Matrix>
Groups groups_of(const Matrix& a, index_t count) {
    Groups groups;
    groups.indptr.push_back(0);
    std::vector<index_t> last(static_cast<std::size_t>(count), -1);  // the last group that has met it
    InterruptPoll poll;
    for (index_t group = 0; group < count; ++group) {
        poll();
        for (index_t k = a.indptr[group * kRowsOfGroup]; k < a.indptr[(group + 1) * kRowsOfGroup]; ++k) {
            const index_t other = static_cast<index_t>(a.indices[k]) / kRowsOfGroup;
            if (other >= count || last[static_cast<std::size_t>(other)] == group)
                continue;
            last[static_cast<std::size_t>(other)] = group;
            groups.indices.push_back(other);
        }
        groups.indptr.push_back(static_cast<index_t>(groups.indices.size()));
    }
    return groups;
}

// Each row has the color of its group. Rows behind the last whole group have a color of their own, so that all groups
// begin a whole number of groups from the first place: chunks, which threads share, hold whole groups.
template <class Matrix>
std::vector<std::int32_t> first_fit_of_groups(const Matrix& a, index_t n) {
    struct Graph {
        const index_t *indptr, *indices;
    };
    const index_t count = n / kRowsOfGroup;
    const Groups groups = groups_of(a, count);
    const std::vector<std::int32_t> of_group = first_fit(Graph{groups.indptr.data(), groups.indices.data()}, count);
    std::int32_t colors_of_groups = 0;
    std::vector<std::int32_t> colors;
    colors.reserve(static_cast<std::size_t>(n));
    for (const std::int32_t color : of_group) {
        colors.insert(colors.end(), static_cast<std::size_t>(kRowsOfGroup), color);
        colors_of_groups = std::max(colors_of_groups, color + 1);
    }
    colors.resize(static_cast<std::size_t>(n), colors_of_groups);
    return colors;
}

// Rows keep their order within a color.
template <class Matrix>
Places places_by_color(const Matrix& a, index_t n, Order order) {
    Places places;
    places.colors = order == Order::multicolor ? first_fit(a, n) : first_fit_of_groups(a, n);
    std::vector<index_t> count;
    for (const std::int32_t color : places.colors) {
        if (static_cast<std::size_t>(color) >= count.size())
            count.resize(static_cast<std::size_t>(color) + 1);
        ++count[static_cast<std::size_t>(color)];
    }
    std::vector<index_t> next;
    places.first_of_color.push_back(0);
    for (const index_t rows : count) {
        next.push_back(places.first_of_color.back() * kBlock);
        places.first_of_color.push_back(places.first_of_color.back() + ceil_div(rows, kBlock));
        for (index_t first = 0; first < rows; first += kBlock)
            places.rows.push_back(std::min(kBlock, rows - first));
    }
    places.of_row.reserve(static_cast<std::size_t>(n));
    for (const std::int32_t color : places.colors)
        places.of_row.push_back(next[static_cast<std::size_t>(color)]++);
    return places;
}

}  // namespace sorgum::sor
