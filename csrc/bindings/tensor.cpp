#include "bindings/tensor.h"

#include <algorithm>
#include <cstdint>

namespace sorgum::tensor {

using dlpack::DLManagedTensorVersioned;
using dlpack::DLTensor;
using dlpack::ExchangeApi;

namespace {

// An error sends a call the usual way, on which the library says it again. KeyboardInterrupt and its like end the call.
void forget_error() {
    if (PyErr_ExceptionMatches(PyExc_Exception))
        PyErr_Clear();
}

// Whether what a tensor answers is False itself. One that has no such answer is not of the kind that is taken here.
bool is_false(PyObject* answer) {
    forget_error();
    Py_XDECREF(answer);
    return answer == Py_False;  // which lives on
}

void forget(void*, const char*, const char*) {}

}  // namespace

const ExchangeApi* api_of(PyTypeObject* type) {
    static PyObject* const name = PyUnicode_InternFromString("__dlpack_c_exchange_api__");
    if (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) || type->tp_dict == nullptr)
        return nullptr;
    PyObject* const capsule = PyDict_GetItemWithError(type->tp_dict, name);
    if (capsule == nullptr || !PyCapsule_IsValid(capsule, ExchangeApi::kName))
        return nullptr;
    const auto* const api = static_cast<const ExchangeApi*>(PyCapsule_GetPointer(capsule, ExchangeApi::kName));
    return api->major == dlpack::kMajor ? api : nullptr;
}

Held read(const ExchangeApi& api, PyObject* tensor, plain::Array& array) {
    static PyObject* const requires_grad = PyUnicode_InternFromString("requires_grad");
    static PyObject* const is_neg = PyUnicode_InternFromString("is_neg");
    if (!is_false(PyObject_GetAttr(tensor, requires_grad)) || !is_false(PyObject_CallMethodNoArgs(tensor, is_neg)))
        return nullptr;
    DLManagedTensorVersioned* managed = nullptr;
    if (api.managed_of(tensor, &managed) != 0) {
        forget_error();
        return nullptr;
    }
    Held held(managed);
    const DLTensor& told = managed->tensor;
    if (managed->major != dlpack::kMajor || !dlpack::is_writable(*managed) || !dlpack::is_plain(told) ||
        !dlpack::dtype_of(told, array.dtype))
        return nullptr;
    array.data = dlpack::data_of(told);
    array.ndim = told.ndim;
    std::copy_n(told.shape, told.ndim, array.shape);
    return held;
}

PyObject* make(const ExchangeApi& api, DType dtype, int ndim, const index_t* shape, char*& data) {
    std::int64_t lengths[kMaxDims];
    std::copy_n(shape, ndim, lengths);
    DLTensor prototype = {};
    prototype.device_type = dlpack::kCpu;
    prototype.ndim = ndim;
    prototype.shape = lengths;
    dlpack::set_dtype(prototype, dtype);
    DLManagedTensorVersioned* managed = nullptr;
    void* made = nullptr;
    if (api.allocate(&prototype, &managed, nullptr, forget) == 0) {
        Held held(managed);
        if (!dlpack::is_plain(managed->tensor))  // within PyTorch's transformations new tensors may have no memory
            return nullptr;
        data = dlpack::data_of(managed->tensor);
        if (api.array_of(held.release(), &made) == 0)
            return static_cast<PyObject*>(made);
    }
    forget_error();
    return nullptr;
}

}  // namespace sorgum::tensor
