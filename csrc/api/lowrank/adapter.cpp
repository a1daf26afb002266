#include "api/lowrank/adapter.h"

#include <cmath>

#include "api/call/stored.h"

namespace sorgum::lowrank {

namespace {

void check_held(const char* function, const char* argument, const ArrayView& view, DType computed) {
    check_float(function, argument, view);
    if (computed == DType::f32 && view.dtype == DType::f64)
        throw TypeError(std::string(function) + ": " + argument + " must have a dtype that float32 holds, got float64");
}

}  // namespace

Factors factors_of(const char* function, const ArrayView& a, const ArrayView& b, DType computed) {
    check_held(function, "A", a, computed);
    check_held(function, "B", b, computed);
    const Factors factors = {linalg::operand_of(function, "A", a), linalg::operand_of(function, "B", b)};
    if (factors.a.rows != factors.b.columns)
        throw ValueError(std::string(function) + ": B must have shape (out, " + std::to_string(factors.a.rows) +
                         ") with A of shape " + shape_text(a.shape, a.ndim) + ", got " + shape_text(b.shape, b.ndim));
    return factors;
}

void check_scale(const char* function, double scale, DType computed) {
    if (!std::isfinite(computed == DType::f32 ? static_cast<double>(static_cast<float>(scale)) : scale))
        throw ValueError(std::string(function) + ": scale must be finite in " + dtype_text(computed) + ", got " +
                         number_text(scale));
}

void check_matrix(const char* function, const char* argument, const ArrayView& view, DType dtype,
                  const index_t* shape) {
    check_dtype(function, argument, view, dtype);
    if (view.ndim != 2 || view.shape[0] != shape[0] || view.shape[1] != shape[1])
        throw ValueError(std::string(function) + ": " + argument + " must have shape " + shape_text(shape, 2) +
                         ", got " + shape_text(view.shape, view.ndim));
}

void check_rows(const char* function, const char* argument, const ArrayView& view) {
    const linalg::Matrix m = linalg::matrix_of(function, argument, view);
    if (!m.has_rows())
        throw ValueError(std::string(function) + ": " + argument + " must have contiguous rows, got a stride of " +
                         std::to_string(m.column_stride) + " elements");
}

template <class T>
const T* vector_of(const char* function, const char* argument, const ArrayView& view, index_t length) {
    const std::string named = std::string(function) + ": " + argument;
    check_dtype(function, argument, view, sizeof(T) == sizeof(double) ? DType::f64 : DType::f32);
    if (view.ndim != 1 || view.shape[0] != length)
        throw ValueError(named + " must have shape " + shape_text(&length, 1) + ", got " +
                         shape_text(view.shape, view.ndim));
    if (length > 1 && view.strides[0] != static_cast<index_t>(sizeof(T)))
        throw ValueError(named + " must be contiguous, got a stride of " + std::to_string(view.strides[0]) + " bytes");
    return static_cast<const T*>(view.data);
}

template const float* vector_of(const char*, const char*, const ArrayView&, index_t);
template const double* vector_of(const char*, const char*, const ArrayView&, index_t);

}  // namespace sorgum::lowrank
