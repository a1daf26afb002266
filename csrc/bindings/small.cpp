// Calls of the common kind, answered at once: of one array (the gradients: two) of NumPy that is contiguous and
// aligned, along its last axis, with a number for a temperature, and with a result that is new or such an array, too.
#include "api/small.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "bindings/array.h"
#include "bindings/errors.h"
#include "bindings/function.h"

namespace sorgum {

namespace {

using small::Array;
using Which = small::Function;
namespace numpy = py::detail;

PyTypeObject* key_type = nullptr;  // sorgum.random.Key, once it is there

PyTypeObject* ndarray() {
    static PyTypeObject* const type = numpy::npy_api::get().PyArray_Type_;
    return type;
}

bool read(PyObject* object, Array& array) {
    constexpr int kPlain = numpy::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | numpy::npy_api::NPY_ARRAY_ALIGNED_;
    if (object == nullptr || Py_TYPE(object) != ndarray() || !numpy::check_flags(object, kPlain) ||
        !dtype_of(object, array.dtype))
        return false;
    const auto* const proxy = numpy::array_proxy(object);
    array.data = proxy->data;
    array.ndim = proxy->nd;
    array.shape = proxy->dimensions;
    return true;
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
    return overflow == 0 && small::is_last(at, ndim);
}

bool read_temperature(PyObject* given, double& temperature) {
    temperature = 1.0;
    if (given == nullptr)
        return true;
    if (Py_TYPE(given) != &PyFloat_Type)
        return false;
    temperature = PyFloat_AS_DOUBLE(given);
    return small::is_temperature(temperature);
}

PyObject* dtype_object(PyObject* array) { return numpy::array_proxy(array)->descr; }

char* data_of(PyObject* array) { return numpy::array_proxy(array)->data; }

PyObject* new_array(PyObject* dtype, int ndim, const index_t* shape) {
    return numpy::npy_api::get().PyArray_NewFromDescr_(ndarray(), Py_NewRef(dtype), ndim, shape, nullptr, nullptr, 0,
                                                       nullptr);
}

// One of no axes as a scalar, as NumPy has it. Takes the reference.
PyObject* scalar_of(PyObject* array) {
    static PyObject* const nothing = PyTuple_New(0);
    if (array == nullptr || numpy::array_proxy(array)->nd > 0)
        return array;
    PyObject* const scalar = PyObject_GetItem(array, nothing);
    Py_DECREF(array);
    return scalar;
}

// Holds the interpreter's lock for a few microseconds at most. False, and an error is set, where it was interrupted or
// memory ran out.
bool computes(Which f, const Array& x, const char* dy, char* out, double temperature) {
    if (small::is_small(x)) {
        small::run(f, x, dy, out, temperature);
        return true;
    }
    try {
        without_gil([&] { small::run(f, x, dy, out, temperature); });
        return true;
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (...) {
        translate(std::current_exception());
    }
    return false;
}

struct Given {
    PyObject *x = nullptr, *dy = nullptr, *axis = nullptr, *out = nullptr, *temperature = nullptr;
};

template <Which f>
bool sort(PyObject* const* args, index_t count, PyObject* names, Given& given) {
    static PyObject* const out = interned("out");
    static PyObject* const axis = interned("axis");
    static PyObject* const temperature = interned("temperature");
    if constexpr (f == Which::exp || f == Which::log)
        return sort(args, count, names, 1, {&given.x}, {{out, &given.out}});
    else if constexpr (f == Which::softmax_grad || f == Which::log_softmax_grad)
        return sort(args, count, names, 2, {&given.x, &given.dy, &given.axis},
                    {{out, &given.out}, {axis, &given.axis}, {temperature, &given.temperature}});
    else
        return sort(args, count, names, 1, {&given.x, &given.axis},
                    {{out, &given.out}, {axis, &given.axis}, {temperature, &given.temperature}});
}

template <Which f>
PyObject* answer(PyObject* const* args, index_t count, PyObject* names) {
    constexpr bool kReduces = f == Which::logsumexp;
    Given given;
    Array x, dy = {}, out;
    double temperature;
    if (!sort<f>(args, count, names, given) || !read(given.x, x) || !small::takes(x) ||
        (given.dy != nullptr && !(read(given.dy, dy) && small::goes_with(x, dy))) || !is_last(given.axis, x.ndim) ||
        !read_temperature(given.temperature, temperature))
        return nullptr;
    if (given.out == nullptr || given.out == Py_None) {
        const int axes = kReduces ? small::row_axes(x) : x.ndim;
        if (small::is_pooled(x, axes))
            return nullptr;
        PyObject* const result = new_array(dtype_object(given.x), axes, x.shape);
        if (result == nullptr || computes(f, x, dy.data, data_of(result), temperature))
            return scalar_of(result);
        Py_DECREF(result);
        return nullptr;
    }
    if (!read(given.out, out) || !numpy::check_flags(given.out, numpy::npy_api::NPY_ARRAY_WRITEABLE_) ||
        !(kReduces ? small::holds_rows_of(x, out) : small::goes_with(x, out)) ||
        (given.dy != nullptr && !small::goes_with(dy, out)))
        return nullptr;
    return computes(f, x, dy.data, out.data, temperature) ? Py_NewRef(given.out) : nullptr;
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
    Array logits;
    small::Draw draw = {};
    if (!sort(args, count, names, 1, {&given},
              {{known.rng, &rng}, {known.temperature, &t}, {known.streams, &streams}, {known.position, &at}}) ||
        !read(given, logits) || !read_key(rng, draw.key) || !read_temperature(t, draw.temperature) ||
        (streams != nullptr && streams != Py_None && !read_word(streams, draw.stream)) ||
        (at != nullptr && !read_word(at, draw.position)))
        return nullptr;
    draw.own_stream = streams == nullptr || streams == Py_None;
    index_t drawn[small::kMostDraws];
    if (!small::categorical(logits, draw, drawn))
        return nullptr;
    static PyObject* const int64 = py::dtype::of<index_t>().release().ptr();
    PyObject* const result = new_array(int64, small::row_axes(logits), logits.shape);
    if (result != nullptr)
        std::copy_n(drawn, draw.rows, reinterpret_cast<index_t*>(data_of(result)));
    return scalar_of(result);
}

}  // namespace

void set_key_type(PyObject* type) { key_type = reinterpret_cast<PyTypeObject*>(Py_NewRef(type)); }

SmallCall small_call(const char* name) {
    static constexpr struct {
        const char* name;
        SmallCall call;
    } kCalls[] = {
        {"exp", answer<Which::exp>},
        {"log", answer<Which::log>},
        {"softmax", answer<Which::softmax>},
        {"log_softmax", answer<Which::log_softmax>},
        {"logsumexp", answer<Which::logsumexp>},
        {"softmax_grad", answer<Which::softmax_grad>},
        {"log_softmax_grad", answer<Which::log_softmax_grad>},
        {"categorical", categorical},
    };
    for (const auto& known : kCalls)
        if (std::strcmp(known.name, name) == 0)
            return known.call;
    return nullptr;
}

}  // namespace sorgum
