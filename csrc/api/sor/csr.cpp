#include "api/sor/csr.h"

#include <cstring>
#include <type_traits>

#include "api/call/rows.h"
#include "core/error.h"
#include "dispatch/dispatch.h"
#include "dispatch/sor.h"

namespace sorgum::sor {

namespace {

template <class Index>
void refuse_row(const std::string& prefix, const Index* indptr, const Index* indices, index_t entries, index_t columns,
                index_t row) {
    const std::string in_row = " in row " + std::to_string(row);
    const index_t begin = indptr[row], end = indptr[row + 1];
    if (begin < 0 || end < begin)  // negative: others have changed it meanwhile
        throw ValueError(prefix + ".indptr must not decrease, got " + std::to_string(begin) + " and then " +
                         std::to_string(end) + in_row);
    if (end > entries)
        throw ValueError(prefix + ".indptr must not exceed the number of entries, " + std::to_string(entries) +
                         ", got " + std::to_string(end) + in_row);
    for (index_t k = begin; k < end; ++k)
        if (indices[k] < 0 || indices[k] >= columns)
            throw ValueError(prefix + ".indices must not be negative and must be below the number of columns, " +
                             std::to_string(columns) + ", got " + std::to_string(indices[k]) + in_row + ", entry " +
                             std::to_string(k));
}

void check_one_dimension(const std::string& argument, const ArrayView& view) {
    if (view.ndim != 1)
        throw ValueError(argument + " must have one dimension, got shape " + shape_text(view.shape, view.ndim));
}

const void* contiguous_data(const std::string& argument, const ArrayView& view) {
    const index_t size = element_size(view.dtype);
    const bool aligned = reinterpret_cast<std::uintptr_t>(view.data) % static_cast<std::uintptr_t>(size) == 0;
    if (view.shape[0] > 0 && (!aligned || (view.shape[0] > 1 && view.strides[0] != size)))
        throw ValueError(argument + " must be contiguous and aligned, got a stride of " +
                         std::to_string(view.strides[0]) + " bytes");
    return view.data;
}

}  // namespace

const void* vector_data(const char* function, const std::string& argument, const ArrayView& view, DType dtype,
                        index_t length) {
    check_dtype(function, argument.c_str(), view, dtype);
    const std::string named = std::string(function) + ": " + argument;
    if (view.ndim != 1 || view.shape[0] != length)
        throw ValueError(named + " must have shape " + shape_text(&length, 1) + ", got " +
                         shape_text(view.shape, view.ndim));
    return contiguous_data(named, view);
}

CheckedCsr::CheckedCsr(const char* function, const char* argument, const CsrArrays& given)
    : prefix_(std::string(function) + ": " + argument),
      rows_(given.rows),
      columns_(given.columns),
      value_type_(given.data.dtype),
      index_type_(given.indices.dtype) {
    if (rows_ < 0 || columns_ < 0) {
        const index_t shape[] = {rows_, columns_};
        throw ValueError(prefix_ + " must have a shape that is not negative, got " + shape_text(shape, 2));
    }
    if (value_type_ != DType::f32 && value_type_ != DType::f64)
        throw TypeError(prefix_ + ".data must have dtype float32 or float64, got " + dtype_text(value_type_));
    if (index_type_ != DType::i32 && index_type_ != DType::i64)
        throw TypeError(prefix_ + ".indices must have dtype int32 or int64, got " + dtype_text(index_type_));
    check_one_dimension(prefix_ + ".data", given.data);
    check_one_dimension(prefix_ + ".indptr", given.indptr);
    entries_ = given.data.shape[0];
    if (given.indptr.shape[0] - 1 != rows_)
        throw ValueError(prefix_ + ".indptr must have an element more than there are rows, " + std::to_string(rows_) +
                         ", got " + std::to_string(given.indptr.shape[0]));
    const std::string name = argument;
    data_ = contiguous_data(prefix_ + ".data", given.data);
    indices_ = vector_data(function, name + ".indices", given.indices, index_type_, entries_);
    indptr_ = vector_data(function, name + ".indptr", given.indptr, index_type_, given.indptr.shape[0]);
    with_type([&](const auto& a) {
        if (a.indptr[0] != 0)
            throw ValueError(prefix_ + ".indptr must begin with 0, got " + std::to_string(a.indptr[0]));
    });
}

OwnIndices::OwnIndices(const CsrArrays& given) : arrays_(given) {
    const auto copy = [](ArrayView& view, AlignedArray<char>& to) {
        const index_t bytes = view.shape[0] * element_size(view.dtype);
        to.reserve(bytes + 1);
        if (bytes > 0)
            std::memcpy(to.data(), view.data, static_cast<std::size_t>(bytes));
        view.data = to.data();
    };
    copy(arrays_.indptr, indptr_);
    copy(arrays_.indices, indices_);
}

bool CheckedCsr::holds(index_t first, index_t count) const {
    return with_type([&](const auto& a) {
        const auto kernel = sor_csr_holds(kernels(), std::remove_cv_t<std::remove_pointer_t<decltype(a.indptr)>>());
        return kernel(a.indptr, a.indices, entries_, columns_, first, count);
    });
}

void CheckedCsr::refuse() const {
    with_type([&](const auto& a) {
        for (index_t i = 0; i < rows_; ++i)
            refuse_row(prefix_, a.indptr, a.indices, entries_, columns_, i);
    });
    throw ValueError(prefix_ + " must stay as it is during the call, got other entries meanwhile");
}

}  // namespace sorgum::sor
