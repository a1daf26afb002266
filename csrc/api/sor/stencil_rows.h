// Rows of a grid as kernels take them.
#pragma once

#include "api/sor/stencil.h"
#include "kernels/sor/stencil.h"

namespace sorgum::sor {

// What belongs to the points of a grid, an element per point.
template <class T>
struct StencilVectors {
    T* u;
    const T* f;
    const T *lower, *upper;
    T omega;
};

// Calls visit(row, first point, first column) for every segment of the row, in ascending order; what the
// caller sets in `row` (lanes, change) is its own. The diagonal is the effective one; with `bare`, that of the
// coefficients, for the kernel that makes the effective one of it.
template <class T>
class RowMaker {
public:
    RowMaker(const StencilData<T>& data, const StencilVectors<T>& vectors, bool bare = false)
        : data_(data), vectors_(vectors), bare_(bare), count_(segments_of(data.grid, segments_)) {}

    template <class Visit>
    void operator()(index_t plane, index_t line, Visit&& visit) const {
        const GridShape& grid = data_.grid;
        const std::size_t terms = data_.offsets.size();
        index_t base[kMostNeighbours];  // of the rows of the neighbours; -1 where there is none
        for (std::size_t k = 0; k < terms; ++k) {
            const int* const step = data_.offsets[k].step;
            const index_t z = grid.neighbour(0, plane, step[0]), y = grid.neighbour(1, line, step[1]);
            base[k] = z < 0 || y < 0 ? -1 : (z * grid.size[1] + y) * grid.size[2];
        }
        const index_t own = (plane * grid.size[1] + line) * grid.size[2];
        StencilTerm<T> term[kMostNeighbours];
        for (int s = 0; s < count_; ++s) {
            const Segment segment = segments_[s];
            const index_t at = own + segment.begin;
            for (std::size_t k = 0; k < terms; ++k) {
                const index_t x = grid.neighbour(2, segment.begin, data_.offsets[k].step[2]);
                const bool there = base[k] >= 0 && x >= 0;
                const index_t to = base[k] + x;
                term[k] = {there ? vectors_.u + to : nullptr,
                           data_.variable[k] != nullptr ? data_.variable[k] + at : nullptr,
                           there && data_.has_there ? data_.there.data() + to : nullptr, data_.constant[k]};
            }
            StencilRow<T> row = {};
            row.terms = term;
            row.count = static_cast<index_t>(terms);
            row.previous = data_.previous;
            row.u = vectors_.u + at;
            row.f = vectors_.f + at;
            row.active = data_.has_active ? data_.active.data() + at : nullptr;
            row.lower = vectors_.lower != nullptr ? vectors_.lower + at : nullptr;
            row.upper = vectors_.upper != nullptr ? vectors_.upper + at : nullptr;
            row.omega = vectors_.omega;
            row.points = segment.end - segment.begin;
            if (bare_) {
                row.diagonal = data_.centre != nullptr ? data_.centre + at : nullptr;
                row.constant_diagonal = data_.constant_centre;
            } else if (data_.has_diagonal) {
                row.diagonal = data_.diagonal.data() + at;
                row.inverse = data_.inverse.data() + at;
            } else {
                const auto kind = static_cast<std::size_t>(grid.kind(plane, line, segment.begin));
                row.constant_diagonal = data_.diagonal_of_kind[kind];
                row.constant_inverse = data_.inverse_of_kind[kind];
            }
            visit(row, at, segment.begin);
        }
    }

private:
    const StencilData<T>& data_;
    const StencilVectors<T>& vectors_;
    bool bare_;
    Segment segments_[3];
    int count_;
};

}  // namespace sorgum::sor
