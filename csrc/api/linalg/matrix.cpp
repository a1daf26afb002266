#include "api/linalg/matrix.h"

#include <algorithm>
#include <string>

#include "dispatch/dispatch.h"
#include "dispatch/linalg.h"
#include "kernels/linalg/product.h"

namespace sorgum::linalg {

namespace {

constexpr index_t kPanel = 16;       // columns
constexpr index_t kPiece = 1 << 14;  // elements, about
constexpr index_t kDepthOfPiece = 1 << 10;

index_t columns_of_piece(index_t depth) {
    return kPiece / std::min(std::max<index_t>(depth, kPanel), kDepthOfPiece) / kPanel * kPanel;
}

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
index_t PackedColumns<T>::begin(const Matrix& y) {
    from_ = y;
    depth_ = y.rows;
    columns_ = y.columns;
    if (depth_ == 0 || columns_ == 0)  // 2^60 columns of no elements are no work
        return 0;
    memory_.reserve(saturated_product(whole_vectors(columns_), depth_));
    return ceil_div(columns_, columns_of_piece(depth_)) * ceil_div(depth_, kDepthOfPiece);
}

template <class T>
void PackedColumns<T>::pack_piece(index_t piece) {
    const index_t cuts = ceil_div(depth_, kDepthOfPiece), step = depth_ * kPanel;
    const Range columns = nth_range(columns_, columns_of_piece(depth_), piece / cuts);
    const Range terms = nth_range(depth_, kDepthOfPiece, piece % cuts);
    const index_t n = columns.end - columns.begin, depth = terms.end - terms.begin;
    T* const to = memory_.data() + columns.begin * depth_ + terms.begin * kPanel;
    with_stored<T>(from_.dtype, [&](auto pair) {
        using S = typename decltype(pair)::stored;
        const S* const from = element<S>(from_, terms.begin, columns.begin);
        if (from_.has_rows())
            linalg_pack(kernels(), pair)(from, from_.row_stride, depth, n, to, kPanel, step);
        else
            linalg_pack_transposed(kernels(), pair)(from, from_.column_stride, n, depth, to, kPanel, step);
    });
}

template <class T>
void PackedColumns<T>::pack(const Matrix& y) {
    const index_t pieces = begin(y);
    parallel_for(pieces, threads_for(saturated_product(columns_, depth_)), [&](index_t i, int) { pack_piece(i); });
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
