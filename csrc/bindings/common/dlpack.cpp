// DLPack capsules read and made, and arrays over memory of others.
#include <pybind11/stl.h>

#include <memory>

#include "api/call/dlpack.h"
#include "bindings/common/array.h"

namespace sorgum {

namespace {

using dlpack::DLManagedTensor;
using dlpack::DLManagedTensorVersioned;
using dlpack::DLTensor;

template <class Managed>
Managed* held_by(PyObject* capsule) {
    return static_cast<Managed*>(PyCapsule_GetPointer(capsule, Managed::kName));
}

py::tuple tuple_of(const index_t* values, int count) {
    py::tuple tuple(count);
    for (int i = 0; i < count; ++i)
        tuple[static_cast<std::size_t>(i)] = py::int_(values[i]);
    return tuple;
}

// Address, device, shape, strides in bytes, type (code, bits, lanes), whether it is read-only (None: not told). The
// capsule stays its producer's: what is told holds as long as it lives.
py::tuple dlpack_read(const py::object& capsule) {
    const DLTensor* tensor;
    py::object read_only = py::none();
    if (PyCapsule_IsValid(capsule.ptr(), DLManagedTensorVersioned::kName)) {
        const auto* const versioned = held_by<DLManagedTensorVersioned>(capsule.ptr());
        if (versioned->major != dlpack::kMajor)
            throw ValueError("__dlpack__: the version must be 1, got " + std::to_string(versioned->major) + "." +
                             std::to_string(versioned->minor));
        read_only = py::bool_(!dlpack::is_writable(*versioned));
        tensor = &versioned->tensor;
    } else if (PyCapsule_IsValid(capsule.ptr(), DLManagedTensor::kName)) {
        tensor = &held_by<DLManagedTensor>(capsule.ptr())->tensor;
    } else {
        throw TypeError("__dlpack__: the result must be an unused DLPack capsule, got " +
                        py::repr(capsule).cast<std::string>());
    }
    const ArrayView view = dlpack::layout_of(*tensor);
    return py::make_tuple(reinterpret_cast<std::uintptr_t>(view.data),
                          py::make_tuple(tensor->device_type, tensor->device_id), tuple_of(view.shape, view.ndim),
                          tuple_of(view.strides, view.ndim), py::make_tuple(tensor->code, tensor->bits, tensor->lanes),
                          read_only);
}

// An array over memory that `owner` keeps alive.
py::array array_at(std::uintptr_t address, const std::vector<index_t>& shape, const std::vector<index_t>& strides,
                   const py::dtype& dtype, bool writable, const py::object& owner) {
    py::array array(dtype, shape, strides, reinterpret_cast<void*>(address), owner);
    if (!writable)
        py::detail::array_proxy(array.ptr())->flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
    return array;
}

// An exported array: what a capsule points to, and what that points to.
template <class Managed>
struct Export {
    Managed managed = {};
    std::int64_t shape[kMaxDims], strides[kMaxDims];
    PyObject* owner = nullptr;
};

// The consumer may let go of the array in any thread, with the interpreter's lock or without, and after its end.
template <class Managed>
void release(Managed* managed) {
    auto* const exported = static_cast<Export<Managed>*>(managed->context);
    if (Py_IsInitialized()) {
        const py::gil_scoped_acquire lock;
        Py_DECREF(exported->owner);
    }
    delete exported;
}

template <class Managed>
void destroy_capsule(PyObject* capsule) {
    if (PyCapsule_IsValid(capsule, Managed::kName)) {  // nobody took what it holds
        auto* const managed = held_by<Managed>(capsule);
        managed->deleter(managed);
    }
}

template <class Managed>
py::object capsule_of(const py::array& array, std::uint8_t code, std::uint8_t bits) {
    auto exported = std::make_unique<Export<Managed>>();
    const auto* const proxy = py::detail::array_proxy(array.ptr());
    ArrayView view = {};
    view.ndim = proxy->nd;
    for (int i = 0; i < proxy->nd; ++i) {
        exported->shape[i] = proxy->dimensions[i];
        view.strides[i] = proxy->strides[i];
    }
    if (!dlpack::strides_in_elements(view, array.itemsize(), exported->strides))
        throw ValueError("__dlpack__: the strides must be multiples of the size of an element, got others");
    Managed& managed = exported->managed;
    managed.tensor = {proxy->data, dlpack::kCpu, 0, proxy->nd, code, bits, 1, exported->shape, exported->strides, 0};
    managed.context = exported.get();
    managed.deleter = release<Managed>;
    if constexpr (std::is_same_v<Managed, DLManagedTensorVersioned>) {
        managed.major = dlpack::kMajor;
        managed.flags = array.writeable() ? 0 : dlpack::kReadOnly;
    }
    PyObject* const capsule = PyCapsule_New(&managed, Managed::kName, destroy_capsule<Managed>);
    if (capsule == nullptr)
        throw py::error_already_set();
    exported->owner = array.inc_ref().ptr();
    exported.release();
    return py::reinterpret_steal<py::object>(capsule);
}

}  // namespace

void register_dlpack(py::module_& module) {
    module.def("dlpack_read", &dlpack_read, py::arg("capsule"));
    module.def("array_at", &array_at, py::arg("address"), py::arg("shape"), py::arg("strides"), py::arg("dtype"),
               py::arg("writable"), py::arg("owner"));
    module.def(
        "dlpack_capsule",
        [](const py::array& array, std::uint8_t code, std::uint8_t bits, bool versioned) {
            return versioned ? capsule_of<DLManagedTensorVersioned>(array, code, bits)
                             : capsule_of<DLManagedTensor>(array, code, bits);
        },
        py::arg("array"), py::arg("code"), py::arg("bits"), py::arg("versioned"));
}

}  // namespace sorgum
