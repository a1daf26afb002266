// The Gram matrix X X^T of the rows along an axis. Those who call this have checked types, axes and columns.
#pragma once

#include <utility>
#include <vector>

#include "api/linalg/unfolding.h"

namespace sorgum::linalg {

// x has a floating-point type and this axis. Throws unless out is float64, of as many rows and columns as x has
// elements along the axis, contiguous; it shares no memory with x.
void gram(const char* function, const ArrayView& x, int axis, const ArrayView& out);

// The maximal aligned runs of chunks, as columns [begin, end), that columns from `begin` on are cut into.
std::vector<std::pair<index_t, index_t>> gram_runs(index_t begin, index_t columns);

// The same for the columns [first, first + columns) of x, which are those from `begin` on, a multiple of 512, of a
// larger matrix: a lower triangle without gaps for each of their runs.
void gram_of_runs(const Unfolding& x, index_t begin, index_t first, index_t columns, double* out);

}  // namespace sorgum::linalg
