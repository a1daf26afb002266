// The functions of the family for the bindings: they check all that they are given.
#pragma once

#include <vector>

#include "core/types.h"

namespace sorgum::tucker {

// tensor (..., n, ...), contiguous in C order, with n elements along `mode`, which counts from the end where it is
// negative; matrix (rank, n), or (n, rank) if transposed, or a vector (n,).
struct ModeDotArguments {
    ArrayView tensor, matrix;
    index_t mode;
    bool transposed;
};

// The shape of the product: `rank` takes the place of n, or nothing does for a vector.
std::vector<index_t> mode_dot_shape(const ModeDotArguments& arguments);

// out has that shape and the tensor's type, any layout, and shares no memory with the arguments. float64 is computed in
// where an argument has it.
void mode_dot(const ModeDotArguments& arguments, const ArrayView& out);

// The number of elements along a mode, for the function that is named.
index_t gram_rows(const char* function, const ArrayView& tensor, index_t mode);

// X_(mode) X_(mode)^T of a tensor in any layout. out: float64, of that many rows and columns, contiguous, apart from x.
void gram(const ArrayView& tensor, index_t mode, const ArrayView& out);

// The same for the columns [first, first + columns) of the unfolding, which are those from `begin` on, a multiple of
// 512, of a larger one: a lower triangle without gaps, n (n + 1) / 2 elements, for each of linalg::gram_runs of them.
void gram_partial(const ArrayView& tensor, index_t mode, index_t begin, index_t first, index_t columns,
                  const ArrayView& out);

}  // namespace sorgum::tucker
