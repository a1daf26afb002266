// An array seen as rows: the reduced axes, in C order, make the elements of a row, the other axes number the rows (N5).
//
// Operands of one call (input, output, mask, ...) share the logical shape; a broadcast operand has stride 0. AxisList
// that can be walked as one are merged. Parts of rows that are not contiguous are gathered into scratch memory and
// scattered from it, a chunk at a time.
#pragma once

#include <bitset>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/types.h"
#include "kernels/common/gather.h"

namespace sorgum {

inline constexpr int kMaxOperands = 9;

struct Dims {
    int n = 0;
    index_t shape[kMaxDims];
    index_t stride[kMaxOperands][kMaxDims];  // bytes
};

struct RowLayout {
    index_t rows, length;
    Dims outer, inner;
    char* base[kMaxOperands];

    char* row(int operand, index_t r) const;
    char* element(int operand, char* row_base, index_t i) const;
    // Whether the elements of a row are contiguous, and aligned.
    bool contiguous(int operand, index_t element_size) const;
    // Whether rows lie side by side: the same elements of neighbouring rows are adjacent in memory, and aligned.
    bool adjacent(int operand, index_t element_size) const;
    // Whether every element's address is a multiple of this many bytes.
    bool multiple_of(int operand, index_t bytes) const;
    // The number of rows along the last outer axis, and the bytes between two of them.
    index_t run() const;
    // How many rows from `r` on, in [r, end), are of its run.
    index_t rows_of_run(index_t r, index_t end) const;
    index_t run_stride(int operand) const;
};

// Rows in blocks, each within a run. across(): for rows that lie across memory, whose elements share cache lines with
// those of other rows. A block then has as many rows as have elements in a cache line, or 16, and begins at a cache
// line of the operand, unless it is the first of a run.
class RowBlocks {
public:
    struct Block {
        index_t first, rows;
    };
    RowBlocks() = default;
    RowBlocks(const RowLayout& layout, index_t block_rows) : RowBlocks(layout, block_rows, 0) {}
    static RowBlocks across(const RowLayout& layout, int operand, index_t element_size);

    index_t most_rows() const { return rows_; }
    index_t count() const { return runs_ * per_run_; }
    Block operator[](index_t b) const;

private:
    RowBlocks(const RowLayout& layout, index_t block_rows, index_t lead);

    index_t run_ = 1, runs_ = 0, rows_ = 1, per_run_ = 1;
    index_t lead_ = 0;  // rows before the first line
};

// "(4, 7)", as Python prints a shape.
std::string shape_text(const index_t* shape, int ndim);

// A number as Python prints a float.
std::string number_text(double value);

// AxisList as they are asked for: all, or those of a list, which the caller keeps.
struct AxisList {
    const index_t* list = nullptr;
    index_t count = 0;
    bool all = false;
};

using AxisMask = std::bitset<kMaxDims>;

// The axes as a mask over [0, ndim). Throws ValueError for one that is out of range or repeated.
AxisMask reduced_axes(const char* function, const ArrayView& x, const AxisList& axes);

// The masks of all axes, and of the last one, if there is one.
AxisMask all_axes(const ArrayView& x);
AxisMask last_axis(const ArrayView& x);

// `operands`, kMaxOperands at most, have the logical shape of x (see broadcast_like and per_row).
RowLayout make_rows(const ArrayView& x, const AxisMask& reduced, const std::vector<ArrayView>& operands);

// A view of `from` broadcast to the shape of x. Throws ValueError when it does not fit.
ArrayView broadcast_like(const char* function, const char* argument, const ArrayView& from, const ArrayView& x);

// A view with one element per row, as an operand of x's shape: stride 0 along reduced axes. Accepts a scalar, the shape
// of x without the reduced axes, or with them kept at length 1.
ArrayView per_row(const char* function, const char* argument, const ArrayView& from, const ArrayView& x,
                  const AxisMask& reduced);

// Whether work on all elements of x is done within microseconds.
bool is_short_work(const ArrayView& x);

const char* dtype_text(DType dtype);
inline index_t element_size(DType dtype) {  // bytes
    constexpr index_t sizes[] = {4, 8, 1, 8, 2, 2, 4};
    return sizes[static_cast<int>(dtype)];
}

void check_dtype(const char* function, const char* argument, const ArrayView& view, DType dtype);

// Throws unless the argument can be written as an array of this dtype and shape.
void check_out(const char* function, const char* argument, const ArrayView& out, DType dtype, const index_t* shape,
               int ndim);

// Copies elements [first, first + count) of the `rows` rows from `row` on to contiguous memory, row by row at a
// distance of `pitch` elements, and back. The rows must lie along the last outer axis.
template <class T>
void gather(const RowLayout& layout, int operand, index_t row, index_t rows, index_t first, index_t count, T* to,
            index_t pitch);
template <class T>
void scatter(const RowLayout& layout, int operand, index_t row, index_t rows, index_t first, index_t count,
             const T* from, index_t pitch, bool streaming = false);

// The same where layout.adjacent(operand, sizeof(T)), with halves as float32 in the contiguous memory.
template <class T>
void gather_adjacent(const RowLayout& layout, int operand, index_t row, index_t rows, index_t first, index_t count,
                     common::gathered_t<T>* to, index_t pitch);
template <class T>
void scatter_adjacent(const RowLayout& layout, int operand, index_t row, index_t rows, index_t first, index_t count,
                      const common::gathered_t<T>* from, index_t pitch, bool streaming);

}  // namespace sorgum
