// What every binding needs: NumPy arrays as plain views, and work done without the interpreter's lock.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <string>

#include "api/call/rows.h"
#include "core/error.h"
#include "core/stack.h"
#include "core/types.h"

namespace sorgum {

namespace py = pybind11;

// NumPy's own number of float16, and the one it gave the bfloat16 of ml_dtypes, once that is known (-1 before).
inline constexpr int kFloat16Type = 23;
inline std::atomic<int> bfloat16_type{-1};

// The type of an array's elements, if they are float16, bfloat16, float32, float64, bool or int64 in native byte order.
inline bool dtype_of(PyObject* array, DType& dtype) {
    namespace detail = py::detail;
    // Type number, kind and byte order stand at the same place in the descriptors of NumPy 1 and 2.
    const auto* const descriptor = detail::array_descriptor_proxy(detail::array_proxy(array)->descr);
    if (descriptor->byteorder != '=' && descriptor->byteorder != '|')
        return false;
    const int type = descriptor->type_num;
    switch (type) {
        case kFloat16Type:
            dtype = DType::f16;
            return true;
        case detail::npy_api::NPY_FLOAT_:
            dtype = DType::f32;
            return true;
        case detail::npy_api::NPY_DOUBLE_:
            dtype = DType::f64;
            return true;
        case detail::npy_api::NPY_BOOL_:
            dtype = DType::boolean;
            return true;
        case detail::npy_api::NPY_INT64_:
            dtype = DType::i64;
            return true;
        default:
            dtype = DType::bf16;
            return type == bfloat16_type.load(std::memory_order_relaxed);
    }
}

// Two bytes of no type of NumPy: the bits of bfloat16 (sorgum.interop.bfloat16), whose type Python has checked.
inline bool is_bits(const py::array& array) {
    return array.dtype().num() == py::detail::npy_api::NPY_VOID_ && array.itemsize() == 2;
}

inline constexpr const char* kDTypes = "float16, bfloat16, float32, float64, bool or int64 in native byte order";

// An array of a known type as the functions of api take it: all but the type. Nothing is converted or copied: the view
// is valid as long as the array lives.
inline void set_view(PyObject* array, ArrayView& view) {
    const auto* const proxy = py::detail::array_proxy(array);
    view.data = proxy->data;
    view.writable = (proxy->flags & py::detail::npy_api::NPY_ARRAY_WRITEABLE_) != 0;
    view.ndim = proxy->nd;
    for (int i = 0; i < proxy->nd; ++i) {
        view.shape[i] = proxy->dimensions[i];
        view.strides[i] = proxy->strides[i];
    }
}

inline ArrayView view_as(const py::array& array, DType dtype) {
    ArrayView view;
    view.dtype = dtype;
    set_view(array.ptr(), view);
    return view;
}

[[noreturn]] inline void refuse_dtype(const py::array& array, const char* function, const char* argument,
                                      const char* dtypes) {
    throw TypeError(std::string(function) + ": " + argument + " must have dtype " + dtypes + ", got " +
                    py::str(array.dtype()).cast<std::string>());
}

// The same of any type that the functions of api know; another one is a TypeError that names the argument and those
// that it may have.
inline ArrayView view_of(const py::array& array, const char* function, const char* argument,
                         const char* dtypes = kDTypes) {
    DType dtype;
    if (!dtype_of(array.ptr(), dtype)) {
        if (!is_bits(array))
            refuse_dtype(array, function, argument, dtypes);
        dtype = DType::bf16;
    }
    return view_as(array, dtype);
}

// The same of indices, which may be int32: no other argument may.
inline ArrayView index_view_of(const py::array& array, const char* function, const char* argument) {
    const py::dtype dtype = array.dtype();
    const bool native = dtype.byteorder() == '=';
    if (!native || dtype.kind() != 'i' || (dtype.itemsize() != 4 && dtype.itemsize() != 8))
        refuse_dtype(array, function, argument, "int32 or int64 in native byte order");
    return view_as(array, dtype.itemsize() == 4 ? DType::i32 : DType::i64);
}

inline std::optional<ArrayView> optional_view(const std::optional<py::array>& array, const char* function,
                                              const char* argument) {
    if (!array) {
        return std::nullopt;
    }
    return view_of(*array, function, argument);
}

// Gives the interpreter's lock back for as long as it lives. Unlike pybind11's own, it outlives the interpreter: a
// daemon thread that asks for the lock after the end is told to exit by an unwinding that must not pass a destructor.
// It stops here instead, as Python 3.14 does it, until the process ends.
class GilReleased {
public:
    GilReleased() : state_(PyEval_SaveThread()) {}
    ~GilReleased() {
        try {
            PyEval_RestoreThread(state_);
        } catch (...) {
            while (true) {
                pause();
            }
        }
    }
    GilReleased(const GilReleased&) = delete;
    GilReleased& operator=(const GilReleased&) = delete;

private:
    PyThreadState* state_;
};

// Runs work() without the interpreter's lock, where the stack has room for it.
template <class Work>
void without_gil(Work&& work) {
    const GilReleased released;
    with_room(work);
}

// The same for work on all of x, unless that takes less time than others would notice: handing the lock over costs
// about a tenth of a microsecond.
template <class Work>
void without_gil(const ArrayView& x, Work&& work) {
    if (is_short_work(x))
        with_room(work);
    else
        without_gil(work);
}

}  // namespace sorgum
