// Calls of the common kind, answered at once: of one array (the gradients: two) of NumPy or PyTorch that is contiguous
// and aligned, along its last axis, with a number for a temperature, and with a result that is new or such an array,
// too. Large new results of other libraries than NumPy are left to the usual way, on which memory is used again.
#include "api/plain.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <vector>

#include "bindings/common/array.h"
#include "bindings/common/errors.h"
#include "bindings/common/function.h"
#include "bindings/common/pooled.h"
#include "bindings/common/tensor.h"

namespace sorgum {

namespace {

using plain::Array;
using Which = plain::Function;
namespace numpy = py::detail;

PyTypeObject* key_type = nullptr;  // sorgum.random.Key, once it is there

PyTypeObject* ndarray() {
    static PyTypeObject* const type = numpy::npy_api::get().PyArray_Type_;
    return type;
}

bool is_numpy(PyObject* array) { return Py_TYPE(array) == ndarray(); }

// An array as it was given, and what keeps it.
struct Operand : Array {
    tensor::Held held;
};

bool read_numpy(PyObject* object, Array& array) {
    constexpr int kPlain = numpy::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | numpy::npy_api::NPY_ARRAY_ALIGNED_;
    if (!numpy::check_flags(object, kPlain) || !dtype_of(object, array.dtype))
        return false;
    const auto* const proxy = numpy::array_proxy(object);
    array.data = proxy->data;
    array.ndim = proxy->nd;
    std::copy_n(proxy->dimensions, proxy->nd, array.shape);
    return true;
}

bool read(PyObject* object, Operand& operand) {
    if (object == nullptr)
        return false;
    if (is_numpy(object))
        return read_numpy(object, operand);
    const auto* const api = tensor::api_of(Py_TYPE(object));
    if (api != nullptr)
        operand.held = tensor::read(*api, object, operand);
    return operand.held != nullptr;
}

// Names are compared by their identity: those in source code are interned.
PyObject* interned(const char* name) { return PyUnicode_InternFromString(name); }

struct Place {
    PyObject* name;
    PyObject** value;
};

// Puts the arguments of a call into their places: `least` of them, and up to all of the positional places, come without
// names. False where another name comes, or one that has its argument.
template <std::size_t positional, std::size_t named>
bool sort(PyObject* const* args, index_t count, PyObject* names, index_t least, PyObject** const (&places)[positional],
          const Place (&by_name)[named]) {
    if (count < least || count > static_cast<index_t>(positional))
        return false;
    for (index_t i = 0; i < count; ++i)
        *places[i] = args[i];
    PyObject* const* const values = std::next(args, count);
    for (index_t i = 0; names != nullptr && i < PyTuple_GET_SIZE(names); ++i) {
        const Place* const place = std::find_if(
            by_name, std::end(by_name), [&](const Place& known) { return known.name == PyTuple_GET_ITEM(names, i); });
        if (place == std::end(by_name) || *place->value != nullptr)
            return false;
        *place->value = values[i];
    }
    return true;
}

bool is_last(PyObject* axis, int ndim) {
    if (axis == nullptr)
        return true;
    if (Py_TYPE(axis) != &PyLong_Type)
        return false;
    int overflow;
    const long at = PyLong_AsLongAndOverflow(axis, &overflow);
    return overflow == 0 && plain::is_last(at, ndim);
}

bool read_temperature(PyObject* given, double& temperature) {
    temperature = 1.0;
    if (given == nullptr)
        return true;
    if (Py_TYPE(given) != &PyFloat_Type)
        return false;
    temperature = PyFloat_AS_DOUBLE(given);
    return plain::is_temperature(temperature);
}

bool alike(PyObject* a, PyObject* b) { return Py_TYPE(a) == Py_TYPE(b); }

bool is_writable(PyObject* array) {
    return !is_numpy(array) || numpy::check_flags(array, numpy::npy_api::NPY_ARRAY_WRITEABLE_);
}

// As runtime.py says it.
void set_no_memory(DType dtype, int ndim, const index_t* shape) {
    PyErr_SetString(PyExc_MemoryError, plain::no_memory_text(dtype, ndim, shape).c_str());
}

// A new array of the library of `first`, of a dtype that NumPy calls `descriptor`, and where its elements are. Null,
// without an error set, where another library makes none.
PyObject* new_array(PyObject* first, DType dtype, PyObject* descriptor, int ndim, const index_t* shape, char*& data) {
    if (!is_numpy(first))
        return tensor::make(*tensor::api_of(Py_TYPE(first)), dtype, ndim, shape, data);
    PyObject* const array = numpy::npy_api::get().PyArray_NewFromDescr_(ndarray(), Py_NewRef(descriptor), ndim, shape,
                                                                        nullptr, nullptr, 0, nullptr);
    if (array != nullptr)
        data = numpy::array_proxy(array)->data;
    else
        set_no_memory(dtype, ndim, shape);
    return array;
}

// The same in memory of the pool, for NumPy.
PyObject* new_pooled_array(DType dtype, PyObject* descriptor, int ndim, const index_t* shape, index_t bytes,
                           char*& data) {
    try {
        const PooledMemory memory = pooled_memory(static_cast<std::size_t>(bytes));
        data = static_cast<char*>(memory.data);
        return py::array(py::reinterpret_borrow<py::dtype>(descriptor),
                         std::vector<index_t>(shape, std::next(shape, ndim)), data, memory.owner)
            .release()
            .ptr();
    } catch (const std::bad_alloc&) {
        set_no_memory(dtype, ndim, shape);
        return nullptr;
    } catch (...) {
        set_python_error(std::current_exception());
        return nullptr;
    }
}

// A new array of the type and library of `first`, and of the shape of `array`, whose elements it becomes. Null, perhaps
// without an error set, where none is made.
PyObject* new_result(PyObject* first, Array& array) {
    const index_t pooled = plain::pooled_bytes(array, array.ndim);
    if (pooled > 0 && !is_numpy(first))
        return nullptr;
    PyObject* const descriptor = is_numpy(first) ? numpy::array_proxy(first)->descr : nullptr;
    return pooled > 0 ? new_pooled_array(array.dtype, descriptor, array.ndim, array.shape, pooled, array.data)
                      : new_array(first, array.dtype, descriptor, array.ndim, array.shape, array.data);
}

// A result as it is handed out: NumPy's of no axes as a scalar. Takes the reference.
PyObject* handed_out(PyObject* array) {
    static PyObject* const nothing = PyTuple_New(0);
    if (array == nullptr || !is_numpy(array) || numpy::array_proxy(array)->nd > 0)
        return array;
    PyObject* const scalar = PyObject_GetItem(array, nothing);
    Py_DECREF(array);
    return scalar;
}

// Works, without the interpreter's lock unless x is small. No exception of C++ may leave through the interpreter:
// false, and an error of Python.
template <class Work>
bool done(const Array& x, Work&& work) {
    try {
        plain::is_small(x) ? with_room(work) : without_gil(work);
        return true;
    } catch (...) {
        set_python_error(std::current_exception());
        return false;
    }
}

struct Given {
    PyObject *x = nullptr, *dy = nullptr, *axis = nullptr, *out = nullptr, *temperature = nullptr;
};

template <Which f>
bool sort(PyObject* const* args, index_t count, PyObject* names, Given& given) {
    static PyObject* const out = interned("out");
    static PyObject* const axis = interned("axis");
    static PyObject* const temperature = interned("temperature");
    static PyObject* const dy = interned("dy");
    if constexpr (f == Which::exp || f == Which::log)
        return sort(args, count, names, 1, {&given.x}, {{out, &given.out}});
    else if constexpr (f == Which::softmax_grad || f == Which::log_softmax_grad || f == Which::logsumexp_grad)
        return sort(args, count, names, 1, {&given.x},
                    {{dy, &given.dy}, {out, &given.out}, {axis, &given.axis}, {temperature, &given.temperature}});
    else
        return sort(args, count, names, 1, {&given.x, &given.axis},
                    {{out, &given.out}, {axis, &given.axis}, {temperature, &given.temperature}});
}

template <Which f>
PyObject* answer(PyObject* const* args, index_t count, PyObject* names) {
    constexpr bool kReduces = f == Which::logsumexp;
    constexpr bool kTakesDy = f == Which::softmax_grad || f == Which::log_softmax_grad || f == Which::logsumexp_grad;
    Given given;
    Operand x, dy, out;
    double temperature;
    if (!sort<f>(args, count, names, given) || !read(given.x, x) || !plain::takes(x) || !is_last(given.axis, x.ndim) ||
        !read_temperature(given.temperature, temperature))
        return nullptr;
    // What dy must be beside x, and beside the result.
    const auto fits = [&](const Array& with) {
        return f == Which::logsumexp_grad ? plain::holds_rows_of(with, dy) : plain::goes_with(with, dy);
    };
    if (kTakesDy && (given.dy == nullptr || !alike(given.x, given.dy) || !read(given.dy, dy) || !fits(x)))
        return nullptr;
    const auto run = [&](char* written) { return done(x, [&] { plain::run(f, x, dy.data, written, temperature); }); };
    if (given.out == nullptr || given.out == Py_None) {
        Array made = x;
        made.ndim = kReduces ? plain::row_axes(x) : x.ndim;
        const auto result = py::reinterpret_steal<py::object>(new_result(given.x, made));
        return result && run(made.data) ? handed_out(Py_NewRef(result.ptr())) : nullptr;
    }
    if (!alike(given.x, given.out) || !read(given.out, out) || !is_writable(given.out) ||
        !(kReduces ? plain::holds_rows_of(x, out) : plain::goes_with(x, out)) || (kTakesDy && !fits(out)))
        return nullptr;
    const bool done = run(out.data), counted = is_numpy(given.out) || tensor::count_change(given.out);
    return done && counted ? Py_NewRef(given.out) : nullptr;
}

// 64 bits of an int, which is not negative; for a key also those of a Key.
bool read_word(PyObject* given, std::uint64_t& word) {
    if (given == nullptr || Py_TYPE(given) != &PyLong_Type)
        return false;
    word = PyLong_AsUnsignedLongLong(given);
    if (PyErr_Occurred() == nullptr)
        return true;
    PyErr_Clear();
    return false;
}

bool read_key(PyObject* given, std::uint64_t& key) {
    static PyObject* const value = interned("value");
    if (given == nullptr || Py_TYPE(given) != key_type)
        return read_word(given, key);
    const auto own = py::reinterpret_steal<py::object>(PyObject_GetAttr(given, value));
    return read_word(own.ptr(), key);
}

PyObject* categorical(PyObject* const* args, index_t count, PyObject* names) {
    static const struct {
        PyObject *rng, *temperature, *streams, *position;
    } known = {interned("rng"), interned("temperature"), interned("streams"), interned("position")};
    PyObject *given = nullptr, *rng = nullptr, *t = nullptr, *streams = nullptr, *at = nullptr;
    Operand logits;
    plain::Draw draw = {};
    if (!sort(args, count, names, 1, {&given},
              {{known.rng, &rng}, {known.temperature, &t}, {known.streams, &streams}, {known.position, &at}}) ||
        !read(given, logits) || !read_key(rng, draw.key) || !read_temperature(t, draw.temperature) ||
        (streams != nullptr && streams != Py_None && !read_word(streams, draw.stream)) ||
        (at != nullptr && !read_word(at, draw.position)))
        return nullptr;
    draw.own_stream = streams == nullptr || streams == Py_None;
    index_t drawn[plain::kMostDraws];
    bool taken = false;
    if (!done(logits, [&] { taken = plain::categorical(logits, draw, drawn); }) || !taken)
        return nullptr;
    static PyObject* const int64 = py::dtype::of<index_t>().release().ptr();
    char* written;
    PyObject* const result = new_array(given, DType::i64, int64, plain::row_axes(logits), logits.shape, written);
    if (result != nullptr)
        std::copy_n(drawn, draw.rows, reinterpret_cast<index_t*>(written));
    return handed_out(result);
}

PyObject* lowrank_apply(PyObject* const* args, index_t count, PyObject* names) {
    static const struct {
        PyObject *scale, *base, *out;
    } known = {interned("scale"), interned("base"), interned("out")};
    PyObject *given = nullptr, *down = nullptr, *up = nullptr, *scale = nullptr, *base = nullptr, *out = nullptr;
    Operand x, a, b, added, written;
    const auto read_another = [&](PyObject* array, Operand& operand) {
        return alike(given, array) && read(array, operand);
    };
    if (!sort(args, count, names, 3, {&given, &down, &up},
              {{known.scale, &scale}, {known.base, &base}, {known.out, &out}}) ||
        !read(given, x) || !plain::takes(x) || !read_another(down, a) || !read_another(up, b) || b.ndim != 2 ||
        (scale != nullptr && Py_TYPE(scale) != &PyFloat_Type))
        return nullptr;
    const bool adds = base != nullptr && base != Py_None;
    if (adds && !read_another(base, added))
        return nullptr;
    py::object result;
    if (out != nullptr && out != Py_None) {
        if (!is_writable(out) || !read_another(out, written))
            return nullptr;
        result = py::reinterpret_borrow<py::object>(out);
    } else {
        static_cast<Array&>(written) = x;
        written.shape[plain::row_axes(x)] = b.shape[0];
        result = py::reinterpret_steal<py::object>(new_result(given, written));
        if (!result)
            return nullptr;
    }
    bool taken = false;
    const double factor = scale == nullptr ? 1.0 : PyFloat_AS_DOUBLE(scale);
    if (!done(x, [&] { taken = plain::apply(x, a, b, factor, adds ? &added : nullptr, written); }) || !taken)
        return nullptr;
    const bool counted = is_numpy(result.ptr()) || result.ptr() != out || tensor::count_change(out);
    return counted ? result.release().ptr() : nullptr;
}

}  // namespace

void set_key_type(PyObject* type) { key_type = reinterpret_cast<PyTypeObject*>(Py_NewRef(type)); }

PlainCall plain_call(const char* name) {
    static constexpr struct {
        const char* name;
        PlainCall call;
    } kCalls[] = {
        {"sorgum.special.exp", answer<Which::exp>},
        {"sorgum.special.log", answer<Which::log>},
        {"sorgum.special.softmax", answer<Which::softmax>},
        {"sorgum.special.log_softmax", answer<Which::log_softmax>},
        {"sorgum.special.logsumexp", answer<Which::logsumexp>},
        {"sorgum.special.softmax_grad", answer<Which::softmax_grad>},
        {"sorgum.special.log_softmax_grad", answer<Which::log_softmax_grad>},
        {"sorgum.special.logsumexp_grad", answer<Which::logsumexp_grad>},
        {"sorgum.random.categorical", categorical},
        {"sorgum.lowrank.apply", lowrank_apply},
    };
    for (const auto& known : kCalls)
        if (std::strcmp(known.name, name) == 0)
            return known.call;
    return nullptr;
}

}  // namespace sorgum
