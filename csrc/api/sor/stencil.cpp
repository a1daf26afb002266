#include "api/sor/stencil.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "api/call/rows.h"
#include "api/sor/stencil_passes.h"
#include "api/sor/vectors.h"
#include "core/error.h"
#include "core/fp_env.h"
#include "dispatch/dispatch.h"
#include "dispatch/sor.h"

namespace sorgum::sor {

namespace {

constexpr const char* kName = "sor_stencil";

[[noreturn]] void refuse(const std::string& rule) { throw ValueError(std::string(kName) + ": " + rule); }

// The elements of a contiguous array of the grid's shape.
const void* grid_data(const char* argument, const ArrayView& view, DType dtype, const std::vector<index_t>& shape) {
    check_dtype(kName, argument, view, dtype);
    const int ndim = static_cast<int>(shape.size());
    if (view.ndim != ndim || !std::equal(shape.begin(), shape.end(), view.shape))
        refuse(std::string(argument) + " must have shape " + shape_text(shape.data(), ndim) + ", got " +
               shape_text(view.shape, view.ndim));
    index_t stride = element_size(dtype);
    bool contiguous = reinterpret_cast<std::uintptr_t>(view.data) % static_cast<std::uintptr_t>(stride) == 0;
    for (int i = ndim - 1; i >= 0; --i) {
        contiguous = contiguous && (view.shape[i] <= 1 || view.strides[i] == stride);
        stride = saturated_product(stride, view.shape[i]);
    }
    if (!contiguous && stride > 0)  // one without elements has no layout
        refuse(std::string(argument) + " must be contiguous and aligned, got strides " +
               shape_text(view.strides, view.ndim));
    return view.data;
}

GridShape grid_of(const StencilArguments& given) {
    const int ndim = static_cast<int>(given.shape.size());
    if (ndim != 2 && ndim != 3)
        refuse("u must have two or three dimensions, got " + std::to_string(ndim));
    if (given.side.size() != given.shape.size())
        refuse("boundary must have a pair for each of " + std::to_string(ndim) + " axes, got " +
               std::to_string(given.side.size()));
    GridShape grid = {ndim, {1, 1, 1}, {}};
    grid.side[0][0] = grid.side[0][1] = Side::neumann;  // of the one plane
    index_t points = 1;
    for (int i = 0; i < ndim; ++i) {
        const int axis = 3 - ndim + i;
        grid.size[axis] = given.shape[static_cast<std::size_t>(i)];
        points = saturated_product(points, std::max<index_t>(grid.size[axis], 1));
        for (int k = 0; k < 2; ++k)
            grid.side[axis][k] = given.side[static_cast<std::size_t>(i)][static_cast<std::size_t>(k)];
        const bool first = grid.side[axis][0] == Side::periodic, last = grid.side[axis][1] == Side::periodic;
        if (first != last)
            refuse("boundary must be periodic at both sides of an axis or at none, got one side of axis " +
                   std::to_string(i));
        if (first && grid.size[axis] == 1)
            refuse("boundary must not be periodic along an axis of one point, got axis " + std::to_string(i));
    }
    if (points > (index_t(1) << 59))
        refuse("u must have fewer than 2**59 points, got shape " + shape_text(given.shape.data(), ndim));
    return grid;
}

// Throws where two colors are not enough and no more are wanted.
template <class T>
void take_colors(StencilOrder order, StencilData<T>& data) {
    data.in_turn = order == StencilOrder::lexicographic;
    data.previous = -1;
    for (std::size_t k = 0; k < data.offsets.size(); ++k)
        if (const int* step = data.offsets[k].step; step[0] == 0 && step[1] == 0 && step[2] == -1)
            data.previous = static_cast<index_t>(k);
    if (data.in_turn)
        return;
    bool box = false, along[3] = {};
    for (const Offset& offset : data.offsets) {
        int axes = 0;
        for (int axis = 0; axis < 3; ++axis)
            if (offset.step[axis] != 0) {
                ++axes;
                along[axis] = true;
            }
        box = box || axes > 1;
    }
    data.coloring = Coloring(data.grid, box, along);
    if (order != StencilOrder::red_black || data.coloring.count() <= 2)
        return;
    const std::string needs = "order must have the " + std::to_string(data.coloring.count()) + " colors that ";
    refuse(needs + (box ? "diagonal neighbours need" : "a periodic axis of an odd number of points needs") +
           ", as 'multicolor' has, got 'red_black' with 2");
}

template <class T>
void take_own_rows(const StencilArguments& given, StencilData<T>& data) {
    const index_t rows = given.shape[0], each = rows > 0 ? data.grid.points() / rows : 0;
    const OwnRows own = given.own ? *given.own : OwnRows{0, rows, 0};
    if (own.first < 0 || own.last < own.first || own.last > rows || own.at < 0)
        refuse("own must be rows of " + std::to_string(rows) + ", got " + std::to_string(own.first) + " to " +
               std::to_string(own.last) + " at " + std::to_string(own.at));
    data.own_begin = own.first * each;
    data.own_end = own.last * each;
    data.own_at = saturated_product(own.at, each);
}

template <class T>
void take_coefficients(const StencilArguments& given, StencilData<T>& data) {
    const ArrayView& view = given.coefficients;
    const int ndim = data.grid.ndim;
    const bool varies = view.ndim == ndim + 1;
    if ((!varies && view.ndim != 1) || (varies && !std::equal(given.shape.begin(), given.shape.end(), view.shape + 1)))
        refuse("coefficients must have shape (K,) or (K, ...) with the shape of u, got " +
               shape_text(view.shape, view.ndim));
    const std::vector<Offset> offsets = offsets_of(ndim, view.shape[0]);
    if (offsets.empty())
        refuse(std::string("coefficients must be of ") + (ndim == 2 ? "5 or 9" : "7 or 27") + " points, got " +
               std::to_string(view.shape[0]));
    std::vector<index_t> shape(view.shape, view.shape + view.ndim);
    const T* const c = static_cast<const T*>(grid_data("coefficients", view, view.dtype, shape));
    const index_t apart = varies ? data.grid.points() : 1;
    data.centre = nullptr;
    data.constant_centre = T(0);
    for (std::size_t k = 0; k < offsets.size(); ++k) {
        const T* const from = c + static_cast<index_t>(k) * apart;
        if (!varies && !std::isfinite(*from))
            refuse("coefficients must be finite, got " + number_text(static_cast<double>(*from)) + " at " +
                   std::to_string(k));
        if (k == offsets.size() / 2) {
            data.centre = varies ? from : nullptr;
            data.constant_centre = varies ? T(0) : *from;
        } else if (varies || *from != T(0)) {
            data.offsets.push_back(offsets[k]);
            data.variable.push_back(varies ? from : nullptr);
            data.constant.push_back(varies ? T(0) : *from);
        }
    }
}

template <class T>
void take_masks(const StencilArguments& given, StencilData<T>& data) {
    const unsigned char* bytes[2] = {nullptr, nullptr};
    if (given.mask)
        bytes[0] = static_cast<const unsigned char*>(grid_data("mask", *given.mask, DType::boolean, given.shape));
    if (given.fixed)
        bytes[1] = static_cast<const unsigned char*>(grid_data("fixed", *given.fixed, DType::boolean, given.shape));
    const index_t points = data.grid.points(), padded = whole_vectors(points) + 16;
    const auto absent = [&](int which, index_t i) { return bytes[which] != nullptr && bytes[which][i] != 0; };
    const auto fill = [&](AlignedArray<unsigned char>& to, auto&& value) {
        to.reserve(padded);
        for (index_t i = 0; i < points; ++i)
            to.data()[i] = value(i) ? 1 : 0;
        std::fill(to.data() + points, to.data() + padded, static_cast<unsigned char>(0));
    };
    data.has_there = bytes[0] != nullptr;
    data.has_active = bytes[0] != nullptr || bytes[1] != nullptr;
    if (data.has_there)
        fill(data.there, [&](index_t i) { return !absent(0, i); });
    if (data.has_active)
        fill(data.active, [&](index_t i) { return !absent(0, i) && !absent(1, i); });
}

template <class T>
bool is_normal_with_reciprocal(T d) {
    constexpr T least = std::numeric_limits<T>::min();
    const T size = std::abs(d);
    return size >= least && size <= T(1) / least;
}

// Throws where the diagonal element of a point of ours has no normal reciprocal.
template <class T>
void check_diagonal(const StencilData<T>& data, T d, index_t at) {
    if (!data.owns(at) || is_normal_with_reciprocal(d))
        return;
    const index_t lines = data.grid.ndim == 3 ? data.grid.size[1] : INT64_MAX, columns = data.grid.size[2];
    const index_t point = at - data.own_begin + data.own_at, line = point / columns;
    const index_t index[3] = {line / lines, line % lines, point % columns};
    refuse(
        "coefficients must leave every point one of its own, those of neighbours that are not there added, that is "
        "normal and has a normal reciprocal, got " +
        number_text(static_cast<double>(d)) + " at " + shape_text(index + 3 - data.grid.ndim, data.grid.ndim));
}

// The diagonal where all else is constant: a number for each kind of points.
template <class T>
void take_kinds(StencilData<T>& data) {
    const GridShape& grid = data.grid;
    const auto for_some = [&](int axis, auto&& f) {
        const index_t first = grid.first(axis), last = grid.last(axis) - 1;
        for (const index_t at : {first, first + 1, last})
            if (at >= first && at <= last)
                f(at);
    };
    for_some(0, [&](index_t z) {
        for_some(1, [&](index_t y) {
            for_some(2, [&](index_t x) {
                T d = data.constant_centre;
                for (std::size_t k = 0; k < data.offsets.size(); ++k) {
                    const int* const step = data.offsets[k].step;
                    if (grid.neighbour(0, z, step[0]) < 0 || grid.neighbour(1, y, step[1]) < 0 ||
                        grid.neighbour(2, x, step[2]) < 0)
                        d = d + data.constant[k];
                }
                check_diagonal(data, d, (z * grid.size[1] + y) * grid.size[2] + x);
                const auto kind = static_cast<std::size_t>(grid.kind(z, y, x));
                data.diagonal_of_kind[kind] = d;
                data.inverse_of_kind[kind] = T(1) / d;
            });
        });
    });
}

// The diagonal of every point.
template <class T>
void take_points(StencilData<T>& data) {
    const GridShape& grid = data.grid;
    const index_t points = grid.points(), padded = whole_vectors(points);
    data.diagonal.reserve(padded);
    data.inverse.reserve(padded);
    T* const d = data.diagonal.data();
    std::fill_n(d, padded, T(1));
    const StencilVectors<T> any = {d, d, nullptr, nullptr, T(1)};
    for_rows(data, any, true,
             [&](const StencilRow<T>& row, index_t at) { sor_stencil_diagonal(kernels(), T())(row, d + at); });
    T least = T(1), largest = T(1);
    if (points > 0)
        sor_reciprocals(kernels(), T())(d, padded, T(0), data.inverse.data(), least, largest);
    if (!is_normal_with_reciprocal(least) || !is_normal_with_reciprocal(largest))
        for (index_t i = data.own_begin; i < data.own_end; ++i)
            check_diagonal(data, d[i], i);
    data.has_diagonal = true;
}

template <class T>
StencilData<T> data_of(const StencilArguments& given) {
    StencilData<T> data = {};
    data.grid = grid_of(given);
    take_own_rows(given, data);
    take_coefficients(given, data);
    take_colors(given.order, data);
    take_masks(given, data);
    const FpGuard guard;
    if (data.centre != nullptr || data.has_active)
        take_points(data);
    else
        take_kinds(data);
    return data;
}

}  // namespace

Side side_of(const std::string& name) {
    if (name == "dirichlet")
        return Side::dirichlet;
    if (name == "neumann")
        return Side::neumann;
    if (name == "periodic")
        return Side::periodic;
    refuse("boundary must be 'dirichlet', 'neumann' or 'periodic', got '" + name + "'");
}

StencilOrder stencil_order_of(const std::string& name) {
    if (name == "red_black")
        return StencilOrder::red_black;
    if (name == "multicolor")
        return StencilOrder::multicolor;
    if (name == "lexicographic")
        return StencilOrder::lexicographic;
    refuse("order must be 'red_black', 'multicolor' or 'lexicographic', got '" + name + "'");
}

Stencil::Stencil(const StencilArguments& given) : shape_(given.shape) {
    if (given.coefficients.dtype == DType::f32)
        data_ = data_of<float>(given);
    else if (given.coefficients.dtype == DType::f64)
        data_ = data_of<double>(given);
    else
        throw TypeError(std::string(kName) + ": coefficients must have dtype float32 or float64, got " +
                        dtype_text(given.coefficients.dtype));
}

void Stencil::sweep(const StencilSweep& given) const {
    std::visit(
        [&](const auto& data) {
            using T = std::remove_const_t<std::remove_pointer_t<decltype(data.centre)>>;
            constexpr DType dtype = sizeof(T) == 4 ? DType::f32 : DType::f64;
            const index_t bytes = data.grid.points() * static_cast<index_t>(sizeof(T));
            StencilVectors<T> vectors = {};
            vectors.u = static_cast<T*>(const_cast<void*>(grid_data("u", given.u, dtype, shape_)));
            check_writable(kName, "u", given.u);
            const auto other = [&](const char* argument, const ArrayView& view) {
                const T* const from = static_cast<const T*>(grid_data(argument, view, dtype, shape_));
                check_apart(kName, "u", vectors.u, argument, from, bytes);
                return from;
            };
            vectors.f = other("f", given.f);
            if (given.lower)
                vectors.lower = other("bounds[0]", *given.lower);
            if (given.upper)
                vectors.upper = other("bounds[1]", *given.upper);
            for (const T* c : data.variable)
                if (c != nullptr)
                    check_apart(kName, "u", vectors.u, "coefficients", c, bytes);
            if (data.centre != nullptr)
                check_apart(kName, "u", vectors.u, "coefficients", data.centre, bytes);
            vectors.omega = omega_of<T>(kName, given.omega);
            if (given.sweeps < 0)
                refuse("sweeps must not be negative, got " + std::to_string(given.sweeps));
            std::int64_t* const sums = given.sums ? words_of(kName, "sums", *given.sums, given.sweeps) : nullptr;
            const FpGuard guard;
            relax(data, vectors, given.sweeps, sums);
        },
        data_);
}

SquaresSum Stencil::residual(const ArrayView& u, const ArrayView& f, const std::optional<ArrayView>& out) const {
    return std::visit(
        [&](const auto& data) {
            using T = std::remove_const_t<std::remove_pointer_t<decltype(data.centre)>>;
            constexpr DType dtype = sizeof(T) == 4 ? DType::f32 : DType::f64;
            StencilVectors<T> vectors = {};
            vectors.u = static_cast<T*>(const_cast<void*>(grid_data("u", u, dtype, shape_)));
            vectors.f = static_cast<const T*>(grid_data("f", f, dtype, shape_));
            vectors.omega = T(1);
            double* r = nullptr;
            if (out) {
                r = static_cast<double*>(const_cast<void*>(grid_data("out", *out, DType::f64, shape_)));
                check_writable(kName, "out", *out);
            }
            const FpGuard guard;
            return residual_squares(data, vectors, r);
        },
        data_);
}

void Stencil::diagonal(const ArrayView& out) const {
    std::visit(
        [&](const auto& data) {
            using T = std::remove_const_t<std::remove_pointer_t<decltype(data.centre)>>;
            T* const d = static_cast<T*>(
                const_cast<void*>(grid_data("out", out, sizeof(T) == 4 ? DType::f32 : DType::f64, shape_)));
            check_writable(kName, "out", out);
            const FpGuard guard;
            std::fill_n(d, data.grid.points(), T(0));
            for_rows(data, StencilVectors<T>{d, d, nullptr, nullptr, T(1)}, false,
                     [&](const StencilRow<T>& row, index_t at) {
                         for (index_t i = 0; i < row.points; ++i)
                             if (row.active == nullptr || row.active[i] != 0)
                                 d[at + i] = row.diagonal != nullptr ? row.diagonal[i] : row.constant_diagonal;
                     });
        },
        data_);
}

int Stencil::colors() const {
    return std::visit([](const auto& data) { return data.coloring.count(); }, data_);
}

}  // namespace sorgum::sor
