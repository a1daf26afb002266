// Matrices in memory and packed, for the tile kernel. Those who call this have checked shapes and types.
#pragma once

#include "api/call/rows.h"
#include "api/call/work.h"
#include "kernels/linalg/pack.h"

namespace sorgum::linalg {

// Elements lie at data + row * row_stride + column * column_stride, in elements.
struct Matrix {
    char* data;
    DType dtype;
    index_t rows, columns, row_stride, column_stride;

    Matrix transposed() const { return {data, dtype, columns, rows, column_stride, row_stride}; }
    bool has_rows() const { return column_stride == 1 || columns <= 1 || rows == 0; }
};

// A view of two dimensions whose addresses are multiples of its elements' size. Throws ValueError otherwise.
Matrix matrix_of(const char* function, const char* argument, const ArrayView& view);

// The same of an operand: the elements of its rows, or of its columns, must be next to each other. Kernels read no
// other.
Matrix operand_of(const char* function, const char* argument, const ArrayView& view);

// Calls body(Pair<T, S>()) for the type S of a matrix that is computed with as T: float32 takes no float64.
template <class T, class Body>
void with_stored(DType dtype, Body&& body) {
    if (dtype == DType::f16)
        return body(Pair<T, float16>());
    if (dtype == DType::bf16)
        return body(Pair<T, bfloat16>());
    if constexpr (sizeof(T) == sizeof(double))
        if (dtype == DType::f64)
            return body(f64_f64());
    return body(Pair<T, float>());
}

// The left operand of a product: rows whose elements are contiguous numbers of type T. A matrix that is so already is
// read where it lies.
template <class T>
class PackedRows {
public:
    void pack(const Matrix& x, index_t first, index_t rows);
    const T* data() const { return data_; }
    index_t pitch() const { return pitch_; }

private:
    AlignedArray<T> memory_;
    const T* data_ = nullptr;
    index_t pitch_ = 0;
};

// The right operand: panels of 16 columns, zeros in the place of those that are missing.
template <class T>
class PackedColumns {
public:
    void pack(const Matrix& y);
    // The same in pieces, for whoever packs several operands at once: makes room, and returns how many pieces there
    // are.
    index_t begin(const Matrix& y);
    void pack_piece(index_t piece);
    // The panels from the one that begins with this column on.
    const T* panels(index_t column) const { return memory_.data() + column * depth_; }
    index_t depth() const { return depth_; }
    index_t columns() const { return columns_; }

private:
    AlignedArray<T> memory_;
    Matrix from_ = {};
    index_t depth_ = 0, columns_ = 0;
};

// How many numbers of type T the levels of the counter take, for one thread.
index_t sums_for(index_t depth);

}  // namespace sorgum::linalg
