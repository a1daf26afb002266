// Functions whose arguments may be arrays of any library. One is called like the function in Python that it stands for,
// with as little in between as can be: three questions are asked of a call's arguments, without looking at their
// values.
#include <pybind11/numpy.h>
#include <structmember.h>

#include <iterator>

#include "bindings/common/function.h"
#include "core/fp_env.h"
#include "core/types.h"

namespace sorgum {

namespace {

namespace py = pybind11;

struct Function {
    PyObject_HEAD;
    vectorcallfunc vectorcall;
    PyObject *attributes, *weak_references;
    PyObject* function;   // takes NumPy's arrays
    PyObject* translate;  // called with this object, args and kwargs where there are arrays of other libraries
    PyObject* refusal;    // called with these and an exception: returns the one to raise
    Answerer plain;
};

Function* self_of(PyObject* object) { return reinterpret_cast<Function*>(object); }

bool has(PyTypeObject* type, PyObject* name) { return PyObject_HasAttr(reinterpret_cast<PyObject*>(type), name) != 0; }

// Whether an argument is an array of another library than NumPy, a tuple with one, or a generator of NumPy.
bool is_foreign(PyObject* value) {
    static PyTypeObject* const ndarray = py::detail::npy_api::get().PyArray_Type_;
    PyTypeObject* const type = Py_TYPE(value);
    if (type == ndarray || value == Py_None || type == &PyFloat_Type || type == &PyLong_Type || type == &PyBool_Type ||
        type == &PyUnicode_Type || type == &PyTuple_Type || type == &PyList_Type || PyType_IsSubtype(type, ndarray))
        return false;
    if (PyTuple_Check(value)) {
        if (Py_EnterRecursiveCall("") != 0) {  // it is said where the tuple is looked at again
            PyErr_Clear();
            return true;
        }
        bool found = false;
        for (index_t i = 0; i < PyTuple_GET_SIZE(value) && !found; ++i)
            found = is_foreign(PyTuple_GET_ITEM(value, i));
        Py_LeaveRecursiveCall();
        return found;
    }
    static PyObject* const dlpack = PyUnicode_InternFromString("__dlpack__");
    static PyObject* const device = PyUnicode_InternFromString("__cuda_array_interface__");
    static PyObject* const generator = PyUnicode_InternFromString("bit_generator");
    return has(type, dlpack) || has(type, device) || has(type, generator);
}

// The arguments of a call as they come: positional ones, then those that have names.
struct Arguments {
    PyObject* const* positional;
    index_t count;
    PyObject* const* named;
    PyObject* names;
    index_t named_count;
};

bool any_foreign(PyObject* const* values, index_t count) {
    for (index_t i = 0; i < count; ++i)
        if (is_foreign(values[i]))
            return true;
    return false;
}

// Calls one of the two functions in Python with the call as it came, and perhaps one thing more. No exception of C++
// may leave through the interpreter, so none is thrown.
PyObject* passed_on(PyObject* to, PyObject* object, const Arguments& a, PyObject* more) {
    const auto positional = py::reinterpret_steal<py::object>(PyTuple_New(a.count));
    const auto named = py::reinterpret_steal<py::object>(PyDict_New());
    if (!positional || !named)
        return nullptr;
    for (index_t i = 0; i < a.count; ++i)
        PyTuple_SET_ITEM(positional.ptr(), i, Py_NewRef(a.positional[i]));
    for (index_t i = 0; i < a.named_count; ++i)
        if (PyDict_SetItem(named.ptr(), PyTuple_GET_ITEM(a.names, i), a.named[i]) != 0)
            return nullptr;
    return PyObject_CallFunctionObjArgs(to, object, positional.ptr(), named.ptr(), more, nullptr);
}

// Raises an error anew as `refusal` wants it: in the name of the function that was called. What is no Exception, such
// as KeyboardInterrupt, stays.
void raise_in_own_name(PyObject* object, const Arguments& a) {
    if (PyErr_ExceptionMatches(PyExc_Exception) == 0)
        return;
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    if (trace != nullptr)
        PyException_SetTraceback(value, trace);
    PyObject* const own = passed_on(self_of(object)->refusal, object, a, value);
    if (own == nullptr || !PyExceptionInstance_Check(own)) {
        PyErr_Clear();
        Py_XDECREF(own);
        return PyErr_Restore(type, value, trace);
    }
    PyErr_Restore(Py_NewRef(reinterpret_cast<PyObject*>(Py_TYPE(own))), own, Py_XNewRef(trace));
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(trace);
}

// Null, and no error, for a call that is not plain.
PyObject* answered_at_once(PyObject* object, PyObject* const* args, index_t count, PyObject* names) {
    const Answerer& plain = self_of(object)->plain;
    return plain.answer == nullptr ? nullptr : plain.answer(plain.function, Way::plain, args, count, names);
}

// The function in Python. What it does with NumPy runs under the environment of kernels, too.
PyObject* answered_in_python(PyObject* object, PyObject* const* args, std::size_t flagged, PyObject* names) {
    const FpGuard guard;
    return PyObject_Vectorcall(self_of(object)->function, args, flagged, names);
}

PyObject* call(PyObject* object, PyObject* const* args, std::size_t flagged, PyObject* names) {
    const index_t count = PyVectorcall_NARGS(flagged);
    const Arguments a = {args, count, std::next(args, count), names, names == nullptr ? 0 : PyTuple_GET_SIZE(names)};
    PyObject* result = answered_at_once(object, args, count, names);
    if (result == nullptr && PyErr_Occurred() == nullptr) {
        const bool foreign = any_foreign(a.positional, a.count) || any_foreign(a.named, a.named_count);
        result = foreign ? passed_on(self_of(object)->translate, object, a, nullptr)
                         : answered_in_python(object, args, flagged, names);
    }
    if (result == nullptr)
        raise_in_own_name(object, a);
    return result;
}

// The same, but that nothing is translated.
PyObject* call_untranslated(PyObject* object, PyObject* const* args, Py_ssize_t count, PyObject* names) {
    PyObject* const result = answered_at_once(object, args, count, names);
    if (result != nullptr || PyErr_Occurred() != nullptr)
        return result;
    return answered_in_python(object, args, static_cast<std::size_t>(count), names);
}

int traverse(PyObject* object, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self_of(object)->attributes);
    Py_VISIT(self_of(object)->function);
    Py_VISIT(self_of(object)->translate);
    Py_VISIT(self_of(object)->refusal);
    return 0;
}

int clear(PyObject* object) {
    Py_CLEAR(self_of(object)->attributes);
    Py_CLEAR(self_of(object)->function);
    Py_CLEAR(self_of(object)->translate);
    Py_CLEAR(self_of(object)->refusal);
    return 0;
}

void deallocate(PyObject* object) {
    PyTypeObject* const type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self_of(object)->weak_references != nullptr)
        PyObject_ClearWeakRefs(object);
    clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

PyObject* represent(PyObject* object) { return PyObject_Repr(self_of(object)->function); }

// Pickled by name, as functions are.
PyObject* reduce(PyObject* object, PyObject*) { return PyObject_GetAttrString(object, "__qualname__"); }

PyObject* bind(PyObject* object, PyObject* instance, PyObject*) {
    if (instance == nullptr || instance == Py_None)
        return Py_NewRef(object);
    return PyMethod_New(object, instance);
}

py::object make_type() {
    static PyMethodDef methods[] = {
        {"__reduce__", reduce, METH_NOARGS, nullptr},
        {"untranslated", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(call_untranslated)),
         METH_FASTCALL | METH_KEYWORDS, nullptr},
        {nullptr, nullptr, 0, nullptr},
    };
    static PyMemberDef members[] = {
        {"__vectorcalloffset__", T_PYSSIZET, offsetof(Function, vectorcall), READONLY, nullptr},
        {"__dictoffset__", T_PYSSIZET, offsetof(Function, attributes), READONLY, nullptr},
        {"__weaklistoffset__", T_PYSSIZET, offsetof(Function, weak_references), READONLY, nullptr},
        {nullptr, 0, 0, 0, nullptr},
    };
    static PyGetSetDef properties[] = {
        {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
        {nullptr, nullptr, nullptr, nullptr, nullptr},
    };
    static PyType_Slot slots[] = {
        {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
        {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
        {Py_tp_clear, reinterpret_cast<void*>(clear)},
        {Py_tp_dealloc, reinterpret_cast<void*>(deallocate)},
        {Py_tp_repr, reinterpret_cast<void*>(represent)},
        {Py_tp_descr_get, reinterpret_cast<void*>(bind)},
        {Py_tp_methods, methods},
        {Py_tp_members, members},
        {Py_tp_getset, properties},
        {0, nullptr},
    };
    static PyType_Spec spec = {"sorgum._core.Function", sizeof(Function), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
                                   Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_METHOD_DESCRIPTOR,
                               slots};
    PyObject* const type = PyType_FromSpec(&spec);
    if (type == nullptr)
        throw py::error_already_set();
    return py::reinterpret_steal<py::object>(type);
}

}  // namespace

void register_function(py::module_& module) {
    // When NumPy is first asked for, the interpreter's lock is let go of: a thread that waited for a static to be made
    // of the answer, as those of calls are, would wait with the lock for ever.
    py::detail::npy_api::get();
    const py::object type = make_type();
    module.add_object("Function", type);
    module.def(
        "function",
        [type](const py::object& function, const char* name, const py::object& translate, const py::object& refusal) {
            auto* const made = PyObject_GC_New(Function, reinterpret_cast<PyTypeObject*>(type.ptr()));
            if (made == nullptr)
                throw py::error_already_set();
            made->vectorcall = call;
            made->attributes = made->weak_references = nullptr;
            made->function = Py_NewRef(function.ptr());
            made->translate = Py_NewRef(translate.ptr());
            made->refusal = Py_NewRef(refusal.ptr());
            made->plain = answerer_of(name);
            PyObject_GC_Track(made);
            return py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(made));
        },
        py::arg("function"), py::arg("name"), py::arg("translate"), py::arg("refusal"));
}

}  // namespace sorgum
