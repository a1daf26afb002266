// Sparse matrices in compressed rows (CSR).
//
// computes  csr_holds: whether rows lie within the arrays and their entries within the matrix
//           csr_residual: r[i] = b[i] - sum of a_ij x_j over the entries of row i, in float64
// source    Saad 2003, "Iterative Methods for Sparse Linear Systems", section 3.5; deviation: one fused chain per row
// shapes    rows [first, first + rows), which go to r[0], r[1], ...; r overlaps nothing. csr_holds takes arrays of any
//           contents, and reads nothing beyond them; csr_residual takes rows that it was true of
// order     s = fma(a_ij, x_j, s) from +0 over the entries of a row as they are stored; then b_i - s
// bound     (m + 1) u (|b_i| + sum |a_ij x_j|) for m entries, see docs/numerics/sor.md
// special   as IEEE 754 has it: infinite products of both signs, or 0 times infinity, are NaN
// cost      per entry one value, one index and one element of x, which stays in cache where the matrix is banded;
//           per row one element of indptr, b and r
#pragma once

#include "core/types.h"

namespace sorgum::sor {

// The entries of row i are those from indptr[i] to indptr[i + 1], in any order; several in one column are terms like
// any other.
template <class Value, class Index>
struct Csr {
    using value = Value;
    const Index* indptr;  // one element more than rows
    const Index* indices;
    const Value* data;
};

using f32_i32 = Csr<float, std::int32_t>;
using f32_i64 = Csr<float, std::int64_t>;
using f64_i32 = Csr<double, std::int32_t>;
using f64_i64 = Csr<double, std::int64_t>;

// `entries`: those of indices and of data.
template <class Index>
using csr_holds_fn = bool(const Index* indptr, const Index* indices, index_t entries, index_t columns, index_t first,
                          index_t rows);

template <class Matrix>
using csr_residual_fn = void(const Matrix& a, const typename Matrix::value* x, const typename Matrix::value* b,
                             index_t first, index_t rows, double* r);

}  // namespace sorgum::sor
