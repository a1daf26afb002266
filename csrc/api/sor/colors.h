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

// Rows keep their order within a color.
template <class Matrix>
Places places_by_color(const Matrix& a, index_t n) {
    Places places;
    places.colors = first_fit(a, n);
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
