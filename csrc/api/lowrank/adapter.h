// What is checked of the two factors of an adapter.
#pragma once

#include "api/linalg/matrix.h"

namespace sorgum::lowrank {

// A (rank, in) and B (out, rank).
struct Factors {
    linalg::Matrix a, b;

    index_t rank() const { return a.rows; }
};

// Throws unless both have floating-point types that are computed with as this one, and equal ranks.
Factors factors_of(const char* function, const ArrayView& a, const ArrayView& b, DType computed);

// Throws unless a scale is finite in the type that is computed in: an infinity times 0 would spoil what it is added to.
void check_scale(const char* function, double scale, DType computed);

// Throws unless a matrix has this type and shape.
void check_matrix(const char* function, const char* argument, const ArrayView& view, DType dtype, const index_t* shape);

// Throws unless the elements of a row are next to each other, and addresses are multiples of their size.
void check_rows(const char* function, const char* argument, const ArrayView& view);

// A vector of numbers of a type, contiguous.
template <class T>
const T* vector_of(const char* function, const char* argument, const ArrayView& view, index_t length);

}  // namespace sorgum::lowrank
