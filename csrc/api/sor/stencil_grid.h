// The points of a grid and their neighbours: which there are, where they lie, what color they have. Grids of two
// dimensions are those of three with one plane.
#pragma once

#include <string>
#include <vector>

#include "core/types.h"
#include "kernels/sor/stencil.h"

namespace sorgum::sor {

// What lies beyond a side. Dirichlet: nothing; the outermost points themselves are given.
enum class Side { dirichlet, neumann, periodic };

enum class StencilOrder { red_black, multicolor, lexicographic };

struct Offset {
    int step[3];  // along planes, rows, columns: -1, 0 or 1
};

struct GridShape {
    int ndim;         // 2 or 3
    index_t size[3];  // of planes, rows, columns
    Side side[3][2];  // before the first one, after the last one

    index_t points() const { return size[0] * size[1] * size[2]; }
    // Points that are not given by a side are those of [first, last).
    index_t first(int axis) const { return side[axis][0] == Side::dirichlet ? 1 : 0; }
    index_t last(int axis) const { return size[axis] - (side[axis][1] == Side::dirichlet ? 1 : 0); }
    index_t inner(int axis) const { return last(axis) > first(axis) ? last(axis) - first(axis) : 0; }
    index_t rows() const { return inner(2) > 0 ? inner(0) * inner(1) : 0; }

    // Where the neighbour of a point lies along an axis; -1 if there is none.
    index_t neighbour(int axis, index_t at, int step) const {
        const index_t to = at + step;
        if (to >= 0 && to < size[axis])
            return to;
        return side[axis][0] == Side::periodic ? (to < 0 ? size[axis] - 1 : 0) : -1;
    }

    // A number below 64, the same for all points that have no neighbours at the same sides.
    int kind(index_t plane, index_t row, index_t column) const {
        const index_t at[3] = {plane, row, column};
        int number = 0;
        for (int axis = 0; axis < 3; ++axis)
            number = 4 * number + (at[axis] == 0 ? 1 : 0) + (at[axis] == size[axis] - 1 ? 2 : 0);
        return number;
    }
};

// Colors of points, such that neighbours have different ones. Along an axis they alternate; the last point of a
// periodic axis of an odd number of points has a third one.
class Coloring {
public:
    Coloring() = default;
    // box: whether points are neighbours diagonally, too; used: axes along which there are neighbours.
    Coloring(const GridShape& grid, bool box, const bool* used) : box_(box) {
        for (int axis = 0; axis < 3; ++axis) {
            odd_[axis] = used[axis] && grid.side[axis][0] == Side::periodic && grid.size[axis] % 2 != 0;
            last_[axis] = grid.size[axis] - 1;
            along_[axis] = odd_[axis] ? 3 : used[axis] ? 2 : 1;
            count_ = box ? count_ * along_[axis] : along_[axis] > count_ ? along_[axis] : count_;
        }
    }

    int count() const { return count_; }

    // The lanes of a vector that have a color, in a segment of a row that begins with a column.
    unsigned lanes(int color, index_t plane, index_t row, index_t column) const {
        const int of_row = box_ ? along_[2] * (of(1, row) + along_[1] * of(0, plane)) : of(0, plane) + of(1, row);
        const auto has = [&](index_t x) { return (box_ ? of_row + of(2, x) : (of_row + of(2, x)) % count_) == color; };
        return (has(column) ? 0x5555u : 0u) | (has(column + 1) ? 0xAAAAu : 0u);
    }

private:
    int of(int axis, index_t at) const {
        return along_[axis] == 1 ? 0 : odd_[axis] && at == last_[axis] ? 2 : static_cast<int>(at % 2);
    }

    bool box_ = false, odd_[3] = {};
    index_t last_[3] = {};
    int along_[3] = {1, 1, 1}, count_ = 1;
};

// Columns of a row whose neighbours lie at the same distances: the first, the last, or those between.
struct Segment {
    index_t begin, end;
};
inline int segments_of(const GridShape& grid, Segment* segments) {
    const index_t n = grid.size[2], first = grid.first(2), last = grid.last(2);
    int count = 0;
    const auto add = [&](index_t begin, index_t end) {
        if (begin < end)
            segments[count++] = {begin, end};
    };
    add(first, first == 0 && n > 0 ? 1 : first);
    add(1, n - 1);
    add(n > 1 && last == n ? n - 1 : last, last);
    return count;
}

// The offsets of so many coefficients, in ascending order, the point itself in the middle: those along the axes, or
// all of a box. Empty for another number.
inline std::vector<Offset> offsets_of(int ndim, index_t count) {
    std::vector<Offset> offsets;
    const bool box = count == (ndim == 2 ? 9 : 27);
    if (!box && count != 2 * ndim + 1)
        return offsets;
    for (int z = ndim == 3 ? -1 : 0; z <= (ndim == 3 ? 1 : 0); ++z)
        for (int y = -1; y <= 1; ++y)
            for (int x = -1; x <= 1; ++x)
                if (box || (z != 0) + (y != 0) + (x != 0) <= 1)
                    offsets.push_back({{z, y, x}});
    return offsets;
}

}  // namespace sorgum::sor
