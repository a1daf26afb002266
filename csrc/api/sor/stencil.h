// Equations sum_k c_k u[x + k] = f of the points of a grid, relaxed without a matrix.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "api/call/work.h"
#include "api/sor/stencil_grid.h"
#include "api/sor/sums.h"
#include "core/types.h"

namespace sorgum::sor {

// What is relaxed may be a part of a larger grid: rows along the first axis with some of their neighbours' beside them,
// which are relaxed as well, but neither refused nor counted.
struct OwnRows {
    index_t first, last;  // of those that are here
    index_t at;           // where the first one lies in the larger grid
};

struct StencilArguments {
    ArrayView coefficients;                 // of shape (K,) or (K, ...), see offsets_of
    std::vector<index_t> shape;             // of the grid
    std::vector<std::array<Side, 2>> side;  // of each axis
    std::optional<ArrayView> mask, fixed;   // boolean: points that are not there; that keep their values
    StencilOrder order;
    std::optional<OwnRows> own;  // all, if not given
};

struct StencilSweep {
    ArrayView u, f;
    double omega;
    index_t sweeps;
    std::optional<ArrayView> lower, upper;
    std::optional<ArrayView> sums;  // int64, of shape (sweeps, kSumWords): of the squares of diagonal (u - u before)
};

Side side_of(const std::string& name);
StencilOrder stencil_order_of(const std::string& name);

// The numbers of one, whose arrays of coefficients are the caller's.
template <class T>
struct StencilData {
    GridShape grid;
    Coloring coloring;  // of one color where points are relaxed in turn
    bool in_turn;
    index_t previous;                // which of `offsets` is that of the point before, or -1
    std::vector<Offset> offsets;     // of the neighbours that any point has
    std::vector<const T*> variable;  // of each, or null
    std::vector<T> constant;         // of each
    const T* centre;                 // null: constant_centre
    T constant_centre;
    AlignedArray<unsigned char> there, active;  // a byte per point, where there are masks
    bool has_there = false, has_active = false;
    T diagonal_of_kind[64], inverse_of_kind[64];  // of points with constant coefficients
    AlignedArray<T> diagonal, inverse;            // of each point, where they are not the same for a kind
    bool has_diagonal = false;
    index_t own_begin, own_end, own_at;  // of elements: own rows, and where they begin in the larger grid

    bool owns(index_t at) const { return at >= own_begin && at < own_end; }
};

class Stencil {
public:
    explicit Stencil(const StencilArguments& given);

    // u then has whole sweeps, also where the call is interrupted.
    void sweep(const StencilSweep& given) const;

    // The squares of f - sum_k c_k u[x + k] over the points that are relaxed; its elements, 0 elsewhere, go to `out`.
    SquaresSum residual(const ArrayView& u, const ArrayView& f, const std::optional<ArrayView>& out) const;

    // The coefficient of each point that is relaxed, with those of neighbours that are not there; 0 elsewhere.
    void diagonal(const ArrayView& out) const;

    int colors() const;

private:
    std::vector<index_t> shape_;
    std::variant<StencilData<float>, StencilData<double>> data_;
};

}  // namespace sorgum::sor
