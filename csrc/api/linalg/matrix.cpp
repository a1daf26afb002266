#include "api/linalg/matrix.h"

#include <algorithm>
#include <string>

#include "dispatch/dispatch.h"
#include "dispatch/linalg.h"
#include "kernels/linalg/product.h"

namespace sorgum::linalg {

namespace {

constexpr index_t kPanel = 16;              // columns
constexpr index_t kPackedAtOnce = 1 << 16;  // elements of a task

template <class S>
const S* element(const Matrix& m, index_t row, index_t column) {
    return reinterpret_cast<const S*>(m.data) + row * m.row_stride + column * m.column_stride;
}

}  // namespace

Matrix matrix_of(const char* function, const char* argument, const ArrayView& view) {
    const std::string named = std::string(function) + ": " + argument;
    if (view.ndim != 2)
        throw ValueError(named + " must have two dimensions, got shape " + shape_text(view.shape, view.ndim));
    const index_t size = element_size(view.dtype);
    if (reinterpret_cast<std::uintptr_t>(view.data) % static_cast<std::uintptr_t>(size) != 0 ||
        view.strides[0] % size != 0 || view.strides[1] % size != 0)
        throw ValueError(named + " must be aligned, got strides of " + std::to_string(view.strides[0]) + " and " +
                         std::to_string(view.strides[1]) + " bytes");
    return {static_cast<char*>(view.data), view.dtype, view.shape[0], view.shape[1], view.strides[0] / size,
            view.strides[1] / size};
}

Matrix operand_of(const char* function, const char* argument, const ArrayView& view) {
    const Matrix m = matrix_of(function, argument, view);
    if (!m.has_rows() && !m.transposed().has_rows())
        throw ValueError(std::string(function) + ": " + argument +
                         " must have contiguous rows or columns, got strides of " + std::to_string(m.row_stride) +
                         " and " + std::to_string(m.column_stride) + " elements");
    return m;
}

template <class T>
void PackedRows<T>::pack(const Matrix& x, index_t first, index_t rows) {
    with_stored<T>(x.dtype, [&](auto pair) {
        using P = decltype(pair);
        using S = typename P::stored;
        const index_t n = x.columns;
        const bool along = x.has_rows();
        const S* const from = element<S>(x, first, 0);
        if constexpr (std::is_same_v<S, T>) {
            if (along) {
                data_ = from;
                pitch_ = x.row_stride;
                return;
            }
        }
        pitch_ = whole_vectors(n);
        memory_.reserve(saturated_product(rows, pitch_));
        data_ = memory_.data();
        if (along)
            linalg_pack(kernels(), pair)(from, x.row_stride, rows, n, memory_.data(), pitch_, kPanel);
        else
            linalg_pack_transposed(kernels(), pair)(from, x.column_stride, n, rows, memory_.data(), pitch_, kPanel);
    });
}

template <class T>
void PackedColumns<T>::pack(const Matrix& y) {
    depth_ = y.rows;
    columns_ = y.columns;
    if (depth_ == 0 || columns_ == 0)  // 2^60 columns of no elements are no work
        return;
    memory_.reserve(saturated_product(whole_vectors(columns_), depth_));
    with_stored<T>(y.dtype, [&](auto pair) {
        using S = typename decltype(pair)::stored;
        const bool along = y.has_rows();
        const KernelTable& table = kernels();
        const index_t panels = std::max<index_t>(1, kPackedAtOnce / std::max<index_t>(1, depth_ * kPanel));
        const index_t step = depth_ * kPanel;
        parallel_for_ranges(columns_, panels * kPanel, threads_for(saturated_product(columns_, depth_)),
                            [&](index_t begin, index_t end, int) {
                                const S* const from = element<S>(y, 0, begin);
                                T* const to = memory_.data() + begin * depth_;
                                if (along)
                                    linalg_pack(table, pair)(from, y.row_stride, depth_, end - begin, to, kPanel, step);
                                else
                                    linalg_pack_transposed(table, pair)(from, y.column_stride, end - begin, depth_, to,
                                                                        kPanel, step);
                            });
    });
}

index_t sums_for(index_t depth) {
    index_t levels = 0;
    for (index_t chunks = depth > kDepthChunk ? ceil_div(depth, kDepthChunk) : 0; chunks != 0; chunks /= 2)
        ++levels;
    return levels * kTileElements;
}

template class PackedRows<float>;
template class PackedRows<double>;
template class PackedColumns<float>;
template class PackedColumns<double>;

}  // namespace sorgum::linalg
