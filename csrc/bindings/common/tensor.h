// Arrays of PyTorch, and of what is like it, through DLPack's C functions: read and made without a call in Python.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>

#include "api/call/dlpack.h"
#include "core/types.h"

namespace sorgum::tensor {

// What the type offers itself; null where it offers nothing, or what is not known here. A subclass has reasons of its
// own, so that it has none.
const dlpack::ExchangeApi* api_of(PyTypeObject* type);

struct Release {
    void operator()(dlpack::DLManagedTensorVersioned* tensor) const {
        const pybind11::error_scope kept;  // an error that is on its way, which the library may know nothing of
        if (tensor->deleter != nullptr)
            tensor->deleter(tensor);
    }
};

// Keeps the memory of a tensor, and what is told of it.
using Held = std::unique_ptr<dlpack::DLManagedTensorVersioned, Release>;

// Whether PyTorch may record what is done to tensors of this type: torch.jit.trace, modes of dispatch such as
// make_fx's, tangents of forward mode. sorgum.interop.libraries looks closer.
bool may_be_recorded(PyTypeObject* type);

// Null, without an error set, for a tensor that is not plain, or whose numbers alone are not what it stands for: one
// that records gradients, or holds the negatives of its numbers. Null with an error that is no Exception, such as
// KeyboardInterrupt, where the library raised it.
Held read(const dlpack::ExchangeApi& api, PyObject* tensor, ArrayView& view);

// Tells PyTorch that a tensor was written, as its own functions do, lest what it kept for a gradient be taken for what
// it was. False with an error set where that fails.
bool count_change(PyObject* tensor);

// A new tensor, not written yet, and where its elements are. Null, as above, where the library makes none.
PyObject* make(const dlpack::ExchangeApi& api, DType dtype, int ndim, const index_t* shape, char*& data);

}  // namespace sorgum::tensor
