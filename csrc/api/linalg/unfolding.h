// The unfolding X_(mode) of a tensor in any layout, packed by parts: a tensor is not copied as a whole.
#pragma once

#include "api/call/rows.h"
#include "api/call/work.h"
#include "kernels/linalg/gram.h"

namespace sorgum::linalg {

// Row i has the elements whose index along the axis is i, in C order of the other axes, whatever the layout.
class Unfolding {
public:
    Unfolding(const ArrayView& tensor, int axis);

    index_t rows() const { return rows_; }
    index_t columns() const { return layout_.length; }

    // Writes columns [first, first + terms) of some rows as panels of 16 rows, each terms x 16; `scratch` is the
    // thread's.
    void pack(index_t row, index_t rows, index_t first, index_t terms, double* panels,
              AlignedArray<double>& scratch) const;

    // Where columns from `first` on lie that pack would read, `terms` or fewer: for fetching, none where it is not
    // worth while.
    Ahead ahead(index_t first, index_t terms) const;

private:
    template <class P>
    void pack_as(index_t row, index_t rows, index_t first, index_t terms, double* panels,
                 AlignedArray<double>& scratch) const;

    RowLayout layout_;
    DType dtype_;
    index_t rows_, row_stride_;  // bytes
    index_t run_, run_stride_;   // columns at one distance from each other, and that distance in bytes
    bool in_place_;
};

}  // namespace sorgum::linalg
