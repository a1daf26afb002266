// An order of rows in which those of a color do not depend on each other.
#pragma once

#include <algorithm>
#include <vector>

#include "api/sor/structure.h"
#include "core/interrupt.h"

namespace sorgum::sor {

// The transpose's entries by row: A^T has entries where A has them in columns.
template <class Matrix>
struct Transposed {
    std::vector<index_t> indptr, columns;

    Transposed(const Matrix& a, index_t n)
        : indptr(static_cast<std::size_t>(n) + 1), columns(static_cast<std::size_t>(a.indptr[n])) {
        for (index_t k = 0; k < a.indptr[n]; ++k)
            ++indptr[static_cast<std::size_t>(a.indices[k]) + 1];
        for (std::size_t i = 1; i < indptr.size(); ++i)
            indptr[i] += indptr[i - 1];
        std::vector<index_t> next(indptr.begin(), indptr.end() - 1);
        InterruptPoll poll;
        for (index_t i = 0; i < n; ++i) {
            if (i % kRowsBetweenPolls == 0)
                poll();
            for (index_t k = a.indptr[i]; k < a.indptr[i + 1]; ++k)
                columns[static_cast<std::size_t>(next[static_cast<std::size_t>(a.indices[k])]++)] = i;
        }
    }
};

// Greedy first fit on A + A^T: row after row takes the first color that none of its neighbours has.
template <class Matrix>
std::vector<std::int32_t> first_fit(const Matrix& a, index_t n) {
    const Transposed<Matrix> transposed(a, n);
    std::vector<std::int32_t> colors(static_cast<std::size_t>(n), -1);
    std::vector<index_t> taken_by;  // the last row that a color was refused for
    InterruptPoll poll;
    for (index_t i = 0; i < n; ++i) {
        if (i % kRowsBetweenPolls == 0)
            poll();
        const auto take = [&](index_t neighbour) {
            const std::int32_t color = colors[static_cast<std::size_t>(neighbour)];
            if (color >= 0)
                taken_by[static_cast<std::size_t>(color)] = i;
        };
        for (index_t k = a.indptr[i]; k < a.indptr[i + 1]; ++k)
            take(a.indices[k]);
        for (index_t k = transposed.indptr[static_cast<std::size_t>(i)];
             k < transposed.indptr[static_cast<std::size_t>(i) + 1]; ++k)
            take(transposed.columns[static_cast<std::size_t>(k)]);
        std::size_t color = 0;
        while (color < taken_by.size() && taken_by[color] == i)
            ++color;
        if (color == taken_by.size())
            taken_by.push_back(-1);
        colors[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(color);
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
    for (const std::int32_t color : places.colors)
        places.of_row.push_back(next[static_cast<std::size_t>(color)]++);
    return places;
}

}  // namespace sorgum::sor
