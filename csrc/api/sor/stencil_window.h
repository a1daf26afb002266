// The rows of a grid that passes which follow each other are at, each color packed.
//
// A pass that relaxes every other point of a row uses half of what it reads, and half of each vector. Here the even and
// the odd columns of a row lie apart, so that the points of a color, and those of their neighbours, lie side by side.
#pragma once

#include <algorithm>
#include <vector>

#include "api/call/work.h"
#include "api/sor/stencil_rows.h"
#include "dispatch/dispatch.h"
#include "dispatch/sor.h"
#include "kernels/sor/packed.h"

namespace sorgum::sor {

// Passes go along an axis, unit by unit: rows of a plane, or planes. Units are cut along the next axis, across.
template <class T>
class StencilWindow {
public:
    static bool serves(const StencilData<T>& data, const StencilVectors<T>& vectors) {
        const GridShape& grid = data.grid;
        return data.centre == nullptr && !data.has_diagonal && !data.has_active && vectors.lower == nullptr &&
               vectors.upper == nullptr && data.coloring.count() == 2 && data.coloring.lanes(0, 0, 0, 0) == 0x5555u &&
               (grid.size[0] == 1 || grid.inner(0) > 1);
    }

    // How many elements of scratch it needs, for so many units of at most `width` points across.
    static index_t elements(const GridShape& grid, index_t units, index_t width) {
        return units * (grid.size[0] > 1 ? width : 1) * 4 * length(grid, width);
    }

    StencilWindow(const StencilData<T>& data, const StencilVectors<T>& vectors, index_t units, index_t width,
                  T* scratch)
        : data_(data),
          vectors_(vectors),
          grid_(data.grid),
          solid_(grid_.size[0] > 1),
          length_(length(grid_, width)),
          room_(4 * length_ * (solid_ ? width : 1)),
          units_(units),
          scratch_(scratch),
          count_(segments_of(grid_, segments_)) {
        while (mask_ + 1 < units)
            mask_ = 2 * mask_ + 1;
        places_.resize(static_cast<std::size_t>(mask_ + 1));
    }

    // What of each unit is here from now on: [begin, end) across.
    void begin(Range across) { across_ = across; }

    void load(index_t unit) {
        place(unit) = scratch_ + next_ * room_;
        next_ = next_ + 1 < units_ ? next_ + 1 : 0;
        const index_t ahead = grid_.size[2];
        for_lines(unit, across_, [&](index_t z, index_t y, Range columns) {
            const index_t at = (z * grid_.size[1] + y) * grid_.size[2];
            split(vectors_.u + at, columns, ahead, line(z, y));
            split(vectors_.f + at, columns, ahead, line(z, y) + 2 * length_);
        });
    }

    void store(index_t unit, Range across) const {
        for_lines(unit, across, [&](index_t z, index_t y, Range columns) {
            T* const to = vectors_.u + (z * grid_.size[1] + y) * grid_.size[2];
            const T *even = line(z, y), *odd = even + length_;
            index_t x = columns.begin;
            if (x % 2 != 0 && x < columns.end) {
                to[x] = odd[index_of(x)];
                ++x;
            }
            sor_packed_join(kernels(), T())(even + index_of(x), odd + index_of(x), columns.end - x, to + x);
        });
    }

    // Relaxes the points of a color of a unit, those of [begin, end) across.
    void relax(index_t unit, Range across, int color) const {
        for_lines(unit, across, [&](index_t z, index_t y, Range columns) { relax_line(z, y, columns, color); });
    }

private:
    static constexpr index_t kPerLine = 64 / static_cast<index_t>(sizeof(T));

    // Of one color of a row: whole lines of the cache, an odd number of them, so that the rows do not all meet in it.
    static index_t length(const GridShape& grid, index_t width) {
        const index_t columns = grid.size[0] > 1 ? grid.size[2] : width;
        return (ceil_div(columns / 2 + 2, kPerLine) | 1) * kPerLine;
    }

    template <class Body>
    void for_lines(index_t unit, Range across, Body&& body) const {
        if (!solid_)
            return body(0, unit, across);
        for (index_t y = across.begin; y < across.end; ++y)
            body(unit, y, Range{0, grid_.size[2]});
    }

    T*& place(index_t unit) { return places_[static_cast<std::size_t>(unit & mask_)]; }
    T* line(index_t z, index_t y) const {
        return solid_ ? places_[static_cast<std::size_t>(z & mask_)] + (y - across_.begin) * 4 * length_
                      : places_[static_cast<std::size_t>(y & mask_)];
    }
    index_t index_of(index_t x) const { return (solid_ ? x : x - (across_.begin & ~index_t(1))) >> 1; }

    void split(const T* from, Range columns, index_t ahead, T* to) const {
        index_t x = columns.begin;
        if (x % 2 != 0 && x < columns.end) {
            to[length_ + index_of(x)] = from[x];
            ++x;
        }
        sor_packed_split(kernels(), T())(from + x, columns.end - x, ahead, to + index_of(x),
                                         to + length_ + index_of(x));
    }

    void relax_line(index_t z, index_t y, Range columns, int color) const {
        const index_t parity = (data_.coloring.lanes(color, z, y, 0) & 1u) != 0 ? 0 : 1;
        const std::size_t terms = data_.offsets.size();
        T* const own = line(z, y);
        for (int s = 0; s < count_; ++s) {
            index_t begin = std::max(segments_[s].begin, columns.begin);
            const index_t end = std::min(segments_[s].end, columns.end);
            begin += (begin + parity) & 1;
            if (begin >= end)
                continue;
            PackedRow<T> row;
            row.count = 0;
            for (std::size_t k = 0; k < terms; ++k) {
                const int* const step = data_.offsets[k].step;
                const index_t to_z = grid_.neighbour(0, z, step[0]), to_y = grid_.neighbour(1, y, step[1]);
                const index_t x = grid_.neighbour(2, begin, step[2]);
                if (to_z < 0 || to_y < 0 || x < 0)
                    continue;
                row.term[row.count] = line(to_z, to_y) + (x & 1) * length_ + index_of(x);
                row.c[row.count] = data_.constant[k];
                ++row.count;
            }
            row.u = own + parity * length_ + index_of(begin);
            row.f = row.u + 2 * length_;
            const auto kind = static_cast<std::size_t>(grid_.kind(z, y, segments_[s].begin));
            row.factor = vectors_.omega * data_.inverse_of_kind[kind];
            row.rest = T(1) - vectors_.omega;
            row.points = (end - begin + 1) >> 1;
            kernel_(row);
        }
    }

    const StencilData<T>& data_;
    const StencilVectors<T>& vectors_;
    const GridShape& grid_;
    bool solid_;
    index_t length_, room_, units_, mask_ = 0, next_ = 0;
    T* scratch_;
    std::vector<T*> places_;  // of units, by their number
    Segment segments_[3];
    int count_;
    Range across_ = {0, 0};
    packed_sweep_fn<T>* kernel_ = sor_packed_sweep(kernels(), T());
};

}  // namespace sorgum::sor
