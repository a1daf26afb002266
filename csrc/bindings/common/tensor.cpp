#include "bindings/common/tensor.h"

#include <algorithm>
#include <cstdint>

#include "api/call/extent.h"

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

// What PyTorch has to say of a call beside its tensors; null as long as it was not imported.
struct Torch {
    PyObject *type = nullptr, *is_tracing = nullptr, *modes = nullptr, *forward = nullptr, *increment_version = nullptr;
};

// Borrowed, from a module that was imported. Null for what is not there.
PyObject* imported(const char* module) { return PyDict_GetItemString(PyImport_GetModuleDict(), module); }

PyObject* attribute(PyObject* of, const char* name) {
    PyObject* const found = of == nullptr ? nullptr : PyObject_GetAttrString(of, name);
    PyErr_Clear();
    return found;
}

const Torch& torch() {
    static Torch known;
    if (known.increment_version == nullptr && imported("torch") != nullptr) {
        PyObject* const core = imported("torch._C");
        known.type = attribute(imported("torch"), "Tensor");
        known.is_tracing = attribute(core, "_is_tracing");
        known.modes = attribute(core, "_len_torch_dispatch_stack");
        known.forward = attribute(imported("torch.autograd.forward_ad"), "__dict__");
        known.increment_version = attribute(imported("torch.autograd.graph"), "increment_version");
    }
    return known;
}

bool is_of_torch(PyTypeObject* type) {
    PyObject* const own = torch().type;
    return own != nullptr && PyType_IsSubtype(type, reinterpret_cast<PyTypeObject*>(own));
}

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

bool may_be_recorded(PyTypeObject* type) {
    static PyObject* const level = PyUnicode_InternFromString("_current_level");
    if (!is_of_torch(type))
        return false;
    const Torch& known = torch();
    if (known.is_tracing == nullptr || known.modes == nullptr || known.forward == nullptr)
        return true;
    PyObject* const at = PyDict_GetItemWithError(known.forward, level);
    if (at == nullptr || !PyLong_Check(at) || PyLong_AsLong(at) != -1)
        return true;
    if (!is_false(PyObject_CallNoArgs(known.is_tracing)))
        return true;
    const auto modes = pybind11::reinterpret_steal<pybind11::object>(PyObject_CallNoArgs(known.modes));
    forget_error();
    return !modes || PyObject_IsTrue(modes.ptr()) != 0;
}

Held read(const ExchangeApi& api, PyObject* tensor, ArrayView& view) {
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
        !dlpack::dtype_of(told, view.dtype))
        return nullptr;
    view.data = dlpack::data_of(told);
    view.writable = true;
    view.ndim = told.ndim;
    std::copy_n(told.shape, told.ndim, view.shape);
    set_contiguous(view);
    return held;
}

bool count_change(PyObject* tensor) {
    PyObject* const increment = torch().increment_version;
    if (increment == nullptr || !is_of_torch(Py_TYPE(tensor)))
        return true;
    PyObject *error, *value, *trace;
    PyErr_Fetch(&error, &value, &trace);  // of work that was broken off
    const auto done = pybind11::reinterpret_steal<pybind11::object>(PyObject_CallOneArg(increment, tensor));
    if (error != nullptr)
        PyErr_Restore(error, value, trace);
    return static_cast<bool>(done);
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
