// A sparse matrix as a caller has it: three arrays of any contents. What kernels trust is checked here and nowhere
// else.
#pragma once

#include <string>

#include "api/call/rows.h"
#include "api/call/work.h"
#include "core/error.h"
#include "core/types.h"
#include "kernels/sor/csr.h"

namespace sorgum::sor {

struct CsrArrays {
    ArrayView indptr, indices, data;
    index_t rows, columns;
};

// The elements of a vector of this many of a type. Throws if the argument is something else.
const void* vector_data(const char* function, const std::string& argument, const ArrayView& view, DType dtype,
                        index_t length);

// Types, lengths and the first element of indptr are checked at once. The rows, which take a pass over the indices, are
// looked at shortly before they are used, when they are in cache: kernels are given those that `holds` was true of.
class CheckedCsr {
public:
    // Throws if the arrays do not fit each other. The view is valid as long as they live.
    CheckedCsr(const char* function, const char* argument, const CsrArrays& given);

    index_t rows() const { return rows_; }
    index_t columns() const { return columns_; }
    index_t entries() const { return entries_; }
    DType value_type() const { return value_type_; }

    // Whether these rows lie within the arrays and their entries within the matrix. Reads nothing beyond the arrays,
    // whatever they hold.
    bool holds(index_t first, index_t count) const;

    // Throws the error of the first row that does not hold.
    [[noreturn]] void refuse() const;

    // Calls body with the matrix in its type, that of its kernels.
    template <class Body>
    auto with_type(Body&& body) const {
        const bool wide = index_type_ == DType::i64;
        if (value_type_ == DType::f32)
            return wide ? body(typed<f32_i64>()) : body(typed<f32_i32>());
        return wide ? body(typed<f64_i64>()) : body(typed<f64_i32>());
    }

private:
    template <class Matrix>
    Matrix typed() const {
        Matrix a;
        a.indptr = static_cast<decltype(a.indptr)>(indptr_);
        a.indices = static_cast<decltype(a.indices)>(indices_);
        a.data = static_cast<decltype(a.data)>(data_);
        return a;
    }

    std::string prefix_;  // "function: argument"
    const void *indptr_, *indices_, *data_;
    index_t rows_, columns_, entries_;
    DType value_type_, index_type_;
};

inline void require_square(const char* function, const CheckedCsr& a) {
    const index_t shape[] = {a.rows(), a.columns()};
    if (shape[0] != shape[1])
        throw ValueError(std::string(function) + ": A must be square, got shape " + shape_text(shape, 2));
}

// The same matrix with index arrays of our own, for who reads them again after they were checked: another thread of the
// caller may change his meanwhile.
class OwnIndices {
public:
    // Of arrays that CheckedCsr has taken.
    explicit OwnIndices(const CsrArrays& given);

    const CsrArrays& arrays() const { return arrays_; }

private:
    AlignedArray<char> indptr_, indices_;
    CsrArrays arrays_;
};

}  // namespace sorgum::sor
