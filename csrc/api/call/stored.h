// An operand that is read and written as T, whatever its array stores: float16 and bfloat16 are computed in as float32.
#pragma once

#include "api/call/rows.h"

namespace sorgum {

inline bool is_half(DType dtype) { return dtype == DType::f16 || dtype == DType::bf16; }

// The type in which arrays of a type are computed.
inline DType computed_in(DType dtype) { return is_half(dtype) ? DType::f32 : dtype; }

inline bool is_float(DType dtype) { return is_half(dtype) || dtype == DType::f32 || dtype == DType::f64; }

// Throws unless the argument has a floating-point type.
void check_float(const char* function, const char* argument, const ArrayView& view);

// Throws unless elements follow each other in C order, at addresses that fit them.
void check_contiguous(const char* function, const char* argument, const ArrayView& view);

template <class T>
class Stored {
public:
    Stored(const RowLayout& layout, int operand, DType dtype) : layout_(&layout), operand_(operand), dtype_(dtype) {}

    // Whether the elements of each row are contiguous, and stored as T.
    bool direct() const { return !is_half(dtype_) && layout_->contiguous(operand_, sizeof(T)); }

    // gather and scatter of rows.h, with conversion.
    void read(index_t row, index_t rows, index_t first, index_t count, T* to, index_t pitch) const;
    // `streaming`: past the caches, where that is possible.
    void write(index_t row, index_t rows, index_t first, index_t count, const T* from, index_t pitch,
               bool streaming = false) const;
    // Rows of one element: reads or writes it for each of these rows.
    void read_values(index_t row, index_t rows, T* values) const;
    void write_values(index_t row, index_t rows, const T* values) const;

private:
    const RowLayout* layout_;
    int operand_;
    DType dtype_;
};

}  // namespace sorgum
