#include <algorithm>
#include <cstring>
#include <string>

#include "api/call/extent.h"
#include "api/call/stored.h"
#include "api/linalg/matrix.h"
#include "api/tucker/check.h"
#include "api/tucker/tucker.h"
#include "core/fp_env.h"
#include "dispatch/dispatch.h"
#include "dispatch/linalg.h"
#include "kernels/linalg/combination.h"
#include "kernels/linalg/product.h"

namespace sorgum::tucker {

namespace {

using linalg::Matrix;

constexpr const char* kName = "mode_dot";
constexpr index_t kCombinedColumns = 2048;
constexpr index_t kRows = 48;               // of a task: whole tiles on every instruction set
constexpr index_t kPackedElements = 16384;  // of the panels that stay in a cache while rows pass

// The tensor as (left, n, right), all that lies before and behind the mode as one axis each; out is (left, rank,
// right).
struct Sizes {
    index_t left = 1, n, right = 1, rank;
};

// The matrix as (rank, n); a vector is one row.
Matrix matrix_of(const ModeDotArguments& given) {
    ArrayView view = given.matrix;
    if (view.ndim == 1) {
        view.ndim = 2;
        view.shape[1] = view.shape[0];
        view.strides[1] = view.strides[0];
        view.shape[0] = 1;
        return linalg::operand_of(kName, "matrix_or_vector", view);
    }
    const Matrix m = linalg::operand_of(kName, "matrix_or_vector", view);
    return given.transposed ? m.transposed() : m;
}

template <class P>
class ModeDot {
    using T = typename P::computed;
    using S = typename P::stored;

public:
    ModeDot(const ArrayView& tensor, const Matrix& matrix, const Sizes& sizes, S* out)
        : tensor_(static_cast<const S*>(tensor.data)), dtype_(tensor.dtype), matrix_(matrix), s_(sizes), out_(out) {
        const index_t elements = saturated_product(s_.left * s_.right, std::max<index_t>(s_.n, s_.rank));
        threads_ = threads_for(saturated_product(elements, std::min<index_t>(s_.rank, 16)));
        scratch_.resize(static_cast<std::size_t>(threads_));
    }

    void run() {
        if (s_.right > 1 && s_.rank == 1)
            combinations();
        else if (s_.right > 1)
            slices();
        else if (s_.rank == 1 && std::is_same_v<S, T>)
            vector();
        else
            rows();
    }

private:
    struct Scratch {
        linalg::PackedRows<T> rows;
        linalg::PackedColumns<T> columns;
        AlignedArray<T> sums;
    };

    Scratch& scratch_of(int slot) {
        Scratch& scratch = scratch_[static_cast<std::size_t>(slot)];
        scratch.sums.reserve(linalg::sums_for(s_.n));
        return scratch;
    }

    template <class Q>
    linalg::Product<Q> product(const linalg::PackedRows<T>& x, index_t rows, index_t columns,
                               const Scratch& scratch) const {
        linalg::Product<Q> p = {};
        p.x = x.data();
        p.x_pitch = x.pitch();
        p.rows = rows;
        p.columns = columns;
        p.depth = s_.n;
        p.sums = scratch.sums.data();
        p.end = linalg::End::scaled;
        p.scale = T(1);
        return p;
    }

    // The last mode: rows of the tensor times the matrix, transposed. Rows are read where they lie, unless they have to
    // be widened.
    void rows() {
        const Matrix tensor = slice(0, s_.left, s_.n);
        columns_.pack(matrix_.transposed());
        parallel_for_ranges(s_.left, kRows, threads_, [&](index_t begin, index_t end, int slot) {
            Scratch& scratch = scratch_of(slot);
            scratch.rows.pack(tensor, begin, end - begin);
            linalg::Product<P> p = product<P>(scratch.rows, end - begin, s_.rank, scratch);
            p.y = columns_.panels(0);
            p.out = out_ + begin * s_.rank;
            p.out_pitch = s_.rank;
            linalg_product(kernels(), P())(p);
        });
    }

    // The last mode and a single row: neither is packed.
    void vector() {
        if constexpr (std::is_same_v<S, T>) {
            rows_.pack(matrix_, 0, 1);
            parallel_for_ranges(s_.left, kRows, threads_, [&](index_t begin, index_t end, int slot) {
                linalg::Product<P> p = product<P>(rows_, 1, end - begin, scratch_of(slot));
                p.y = tensor_ + begin * s_.n;
                p.out = out_ + begin;
                linalg_row_product(kernels(), P())(p, s_.n);
            });
        }
    }

    // Any other mode and a single row: a combination of the rows of each slice (n, right), some columns at a time.
    void combinations() {
        rows_.pack(matrix_, 0, 1);
        const index_t width = std::min(s_.right, kCombinedColumns);
        const index_t several = std::max<index_t>(1, kLeastTask / saturated_product(std::max<index_t>(s_.n, 1), width));
        parallel_for_row_ranges(ceil_div(s_.right, width), s_.left, several, threads_,
                                [&](index_t block, index_t begin, index_t end, int slot) {
                                    T* const sums = scratch_of(slot).sums.data();
                                    const Range columns = nth_range(s_.right, width, block);
                                    for (index_t l = begin; l < end; ++l)
                                        linalg_row_combination(kernels(), P())(
                                            rows_.data(), tensor_ + l * s_.n * s_.right + columns.begin, s_.right, s_.n,
                                            columns.end - columns.begin, sums, out_ + l * s_.right + columns.begin);
                                });
    }

    // Any other mode: the matrix times each slice (n, right), some columns at a time, or several slices that are small.
    void slices() {
        rows_.pack(matrix_, 0, s_.rank);
        const index_t n = std::max<index_t>(s_.n, 1);
        const index_t width = std::max<index_t>(32, kPackedElements / n / 32 * 32);
        const index_t several = std::max<index_t>(1, kPackedElements / saturated_product(n, std::min(width, s_.right)));
        parallel_for_row_ranges(ceil_div(s_.right, width), s_.left, several, threads_,
                                [&](index_t block, index_t begin, index_t end, int slot) {
                                    Scratch& scratch = scratch_of(slot);
                                    const Range columns = nth_range(s_.right, width, block);
                                    for (index_t l = begin; l < end; ++l) {
                                        Matrix part = slice(l, s_.n, s_.right);
                                        part.data += columns.begin * static_cast<index_t>(sizeof(S));
                                        part.columns = columns.end - columns.begin;
                                        scratch.columns.pack(part);
                                        linalg::Product<P> p = product<P>(rows_, s_.rank, part.columns, scratch);
                                        p.y = scratch.columns.panels(0);
                                        p.out = out_ + l * s_.rank * s_.right + columns.begin;
                                        p.out_pitch = s_.right;
                                        linalg_product(kernels(), P())(p);
                                    }
                                });
    }

    Matrix slice(index_t l, index_t rows, index_t columns) const {
        const S* const from = tensor_ + l * rows * columns;
        return {reinterpret_cast<char*>(const_cast<S*>(from)), dtype_, rows, columns, columns, 1};
    }

    const S* tensor_;
    DType dtype_;
    Matrix matrix_;
    Sizes s_;
    S* out_;
    linalg::PackedRows<T> rows_;
    linalg::PackedColumns<T> columns_;
    int threads_;
    std::vector<Scratch> scratch_;
};

template <class T>
void mode_dot_as(const ArrayView& tensor, const Matrix& matrix, const Sizes& sizes, const ArrayView& out) {
    linalg::with_stored<T>(tensor.dtype, [&](auto pair) {
        using P = decltype(pair);
        using S = typename P::stored;
        if (size_of(out) == 0 || (is_contiguous(out) && is_aligned(out)))
            return ModeDot<P>(tensor, matrix, sizes, static_cast<S*>(out.data)).run();
        AlignedArray<S> dense;
        dense.reserve(sizes.left * sizes.rank * sizes.right);
        ModeDot<P>(tensor, matrix, sizes, dense.data()).run();
        const RowLayout layout = make_rows(out, last_axis(out), {out});
        const index_t n = layout.length, step = std::max<index_t>(1, kLeastTask / n);
        parallel_for_ranges(layout.rows, step, threads_for(layout.rows * n), [&](index_t begin, index_t end, int) {
            for (index_t row = begin; row < end; ++row)
                for (index_t i = 0; i < n; ++i)
                    std::memcpy(layout.element(0, layout.row(0, row), i), dense.data() + row * n + i, sizeof(S));
        });
    });
}

}  // namespace

std::vector<index_t> mode_dot_shape(const ModeDotArguments& given) {
    const ArrayView &tensor = given.tensor, &matrix = given.matrix;
    check_float(kName, "tensor", tensor);
    check_float(kName, "matrix_or_vector", matrix);
    const int axis = axis_of(kName, "tensor", given.tensor, given.mode);
    const std::string named = std::string(kName) + ": matrix_or_vector must have ";
    if (matrix.ndim != 1 && matrix.ndim != 2)
        throw ValueError(named + "one or two axes, got shape " + shape_text(matrix.shape, matrix.ndim));
    const index_t n = tensor.shape[axis];
    if (matrix.shape[matrix.ndim == 2 && !given.transposed ? 1 : 0] != n) {
        const std::string text = std::to_string(n);
        throw ValueError(named + "shape " + (given.transposed ? "(" + text + ", rank)" : "(rank, " + text + ")") +
                         " or (" + text + ",) with tensor of shape " + shape_text(tensor.shape, tensor.ndim) +
                         " and mode " + std::to_string(given.mode) + ", got " + shape_text(matrix.shape, matrix.ndim));
    }
    std::vector<index_t> shape(tensor.shape, tensor.shape + tensor.ndim);
    if (matrix.ndim == 2)
        shape[static_cast<std::size_t>(axis)] = matrix.shape[given.transposed ? 1 : 0];
    else
        shape.erase(shape.begin() + axis);
    return shape;
}

void mode_dot(const ModeDotArguments& given, const ArrayView& out) {
    const std::vector<index_t> shape = mode_dot_shape(given);
    check_out(kName, "out", out, given.tensor.dtype, shape.data(), static_cast<int>(shape.size()));
    check_contiguous(kName, "tensor", given.tensor);
    const Matrix matrix = matrix_of(given);
    if (std::find(shape.begin(), shape.end(), 0) != shape.end())
        return;
    const int axis = axis_of(kName, "tensor", given.tensor, given.mode);
    Sizes sizes;
    sizes.n = given.tensor.shape[axis];
    sizes.rank = matrix.rows;
    for (int d = 0; d < given.tensor.ndim; ++d)
        if (d != axis)
            (d < axis ? sizes.left : sizes.right) *= given.tensor.shape[d];
    const FpGuard guard;
    if (given.tensor.dtype == DType::f64 || given.matrix.dtype == DType::f64)
        mode_dot_as<double>(given.tensor, matrix, sizes, out);
    else
        mode_dot_as<float>(given.tensor, matrix, sizes, out);
}

}  // namespace sorgum::tucker
