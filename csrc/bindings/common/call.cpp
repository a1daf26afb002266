#include "bindings/common/call.h"

#include <algorithm>
#include <deque>
#include <iterator>

#include "api/call/extent.h"
#include "bindings/common/errors.h"
#include "bindings/common/function.h"
#include "bindings/common/pooled.h"

namespace sorgum {

namespace {

namespace numpy = py::detail;

constexpr index_t kMostAddressed = index_t(1) << 59;  // elements whose bytes can be counted

PyTypeObject* ndarray() {
    static PyTypeObject* const type = numpy::npy_api::get().PyArray_Type_;
    return type;
}

bool is_numpy(PyObject* array) { return Py_TYPE(array) == ndarray(); }

// NumPy's description of a type that has a number of its own.
PyObject* descriptor_of(DType dtype) {
    static PyObject* const int64 = py::dtype::of<index_t>().release().ptr();
    return dtype == DType::i64 ? int64 : nullptr;
}

std::vector<std::pair<std::string, Answerer>>& answerers() {
    static std::vector<std::pair<std::string, Answerer>> known;
    return known;
}

PyObject* call_on_the_usual_way(PyObject* capsule, PyObject* const* args, Py_ssize_t count, PyObject* names) {
    const auto* const answerer = static_cast<const Answerer*>(PyCapsule_GetPointer(capsule, nullptr));
    return answerer->answer(answerer->function, Way::usual, args, count, names);
}

}  // namespace

Parameters::Parameters(index_t by_position, const std::vector<const char*>& names) : by_position_(by_position) {
    for (const char* const name : names)
        names_.push_back(PyUnicode_InternFromString(name));
}

bool Parameters::sort(Way way, PyObject* const* args, index_t count, PyObject* names, PyObject** values) const {
    const auto all = static_cast<index_t>(names_.size());
    if (count > (way == Way::plain ? by_position_ : all))
        return false;
    std::copy_n(args, count, values);
    std::fill(std::next(values, count), std::next(values, all), nullptr);
    PyObject* const* const named = std::next(args, count);
    for (index_t i = 0; names != nullptr && i < PyTuple_GET_SIZE(names); ++i) {
        const auto known = std::find(names_.begin(), names_.end(), PyTuple_GET_ITEM(names, i));
        PyObject** const value = std::next(values, std::distance(names_.begin(), known));
        if (known == names_.end() || *value != nullptr)
            return false;
        *value = named[i];
    }
    return true;
}

bool Reader::tensor(PyObject* value, ArrayView& view) {
    if (first_ == nullptr) {  // what holds for the first one holds for all of a call: they have one type
        library_ = tensor::api_of(Py_TYPE(value));
        if (library_ == nullptr || tensor::may_be_recorded(Py_TYPE(value)))
            return false;
    }
    *next_held_ = tensor::read(*library_, value, view);
    const bool held = *next_held_ != nullptr;
    next_held_ = std::next(next_held_);
    return held;
}

bool Reader::array(PyObject* value, const char* argument, ArrayView& view, const char* dtypes) {
    if (!plain()) {
        if (value == nullptr || !py::isinstance<py::array>(value))
            throw TypeError(std::string(function_) + ": " + argument + " must be a numpy array, got another type");
        view = view_of(py::reinterpret_borrow<py::array>(value), function_, argument, dtypes);
        return true;
    }
    if (value == nullptr || (first_ != nullptr && Py_TYPE(value) != Py_TYPE(first_)))
        return false;
    if (is_numpy(value)) {
        if (!dtype_of(value, view.dtype))
            return false;
        set_view(value, view);
    } else if (!tensor(value, view)) {
        return false;
    }
    if (first_ == nullptr)
        first_ = value;
    *next_read_ = &view;
    next_read_ = std::next(next_read_);
    return size_of(view) <= kMostAddressed;
}

bool Reader::array(PyObject* value, const char* argument, const ArrayView*& view) {
    view = next_view_;
    next_view_ = std::next(next_view_);
    return array(value, argument, const_cast<ArrayView&>(*view));
}

bool Reader::number_or_array(PyObject* value, const char* argument, ArrayView& view) {
    if (plain() && number(value, view))
        return true;
    return array(value, argument, view) && (!plain() || view.dtype == DType::f64);
}

bool Reader::number(PyObject* value, ArrayView& view) {
    if (value != nullptr && Py_TYPE(value) != &PyFloat_Type)
        return false;
    number_ = value == nullptr ? 1.0 : PyFloat_AS_DOUBLE(value);
    view.data = &number_;
    view.dtype = DType::f64;
    view.writable = false;
    view.ndim = 0;
    return true;
}

bool Reader::axes(PyObject* value, AxisList& axes) {
    int overflow = 0;
    const auto read = [&](PyObject* item, index_t& axis) {
        if (Py_TYPE(item) != &PyLong_Type)
            return false;
        axis = PyLong_AsLongLongAndOverflow(item, &overflow);
        return overflow == 0;
    };
    axes.all = value == Py_None;
    axes.list = &axis_;
    axes.count = 1;
    if (axes.all || value == nullptr || read(value, axis_))
        return true;
    if (overflow != 0 || !(PyTuple_CheckExact(value) || (!plain() && PyList_CheckExact(value))))
        return false;
    axes.count = PySequence_Fast_GET_SIZE(value);
    several_.resize(static_cast<std::size_t>(axes.count));
    axes.list = several_.data();
    PyObject** const items = PySequence_Fast_ITEMS(value);
    return std::equal(items, std::next(items, axes.count), several_.begin(), read);
}

bool Reader::flag(PyObject* value, bool& flag) const {
    if (value == nullptr)
        return true;
    flag = value == Py_True;
    return flag || value == Py_False;
}

bool Reader::text(PyObject* value, std::string_view& text) const {
    if (value == nullptr)
        return true;
    if (plain() ? !PyUnicode_CheckExact(value) : !PyUnicode_Check(value))
        return false;
    Py_ssize_t size = 0;
    const char* const characters = PyUnicode_AsUTF8AndSize(value, &size);
    if (characters == nullptr)  // of lone surrogates there is no UTF-8
        PyErr_Clear();
    text = characters == nullptr ? "?" : std::string_view(characters, static_cast<std::size_t>(size));
    return true;
}

bool Reader::apart(const ArrayView& out) const {
    return std::all_of(&read_[0], static_cast<const ArrayView* const*>(next_read_), [&](const ArrayView* view) {
        return view == &out || are_apart(*view, out) || (view->dtype == out.dtype && same_layout(*view, out));
    });
}

py::object Reader::new_array(ArrayView& result) const {
    const index_t pooled = pooled_bytes(result);
    if (!is_numpy(first_)) {
        char* data = nullptr;
        PyObject* const made =
            pooled > 0 ? nullptr : tensor::make(*library_, result.dtype, result.ndim, result.shape, data);
        result.data = data;
        return py::reinterpret_steal<py::object>(made);
    }
    PyObject* const own = descriptor_of(result.dtype);
    PyObject* const descriptor = own != nullptr ? own : numpy::array_proxy(first_)->descr;
    const auto refuse = [&] {
        PyErr_SetString(PyExc_MemoryError, no_memory_text(result).c_str());
        return py::object();
    };
    if (pooled > 0) {
        try {
            const PooledMemory memory = pooled_memory(static_cast<std::size_t>(pooled));
            result.data = memory.data;
            return py::array(py::reinterpret_borrow<py::dtype>(descriptor),
                             std::vector<index_t>(result.shape, std::next(result.shape, result.ndim)), memory.data,
                             memory.owner);
        } catch (const std::bad_alloc&) {
            return refuse();
        }
    }
    PyObject* const made = numpy::npy_api::get().PyArray_NewFromDescr_(ndarray(), Py_NewRef(descriptor), result.ndim,
                                                                       result.shape, nullptr, nullptr, 0, nullptr);
    if (made == nullptr)
        return refuse();
    result.data = numpy::array_proxy(made)->data;
    return py::reinterpret_steal<py::object>(made);
}

bool tell_of_change(PyObject* out) { return is_numpy(out) || tensor::count_change(out); }

PyObject* handed_out(py::object array) {
    static PyObject* const nothing = PyTuple_New(0);
    if (!array || !is_numpy(array.ptr()) || numpy::array_proxy(array.ptr())->nd > 0)
        return array.release().ptr();
    return PyObject_GetItem(array.ptr(), nothing);
}

void answer_plain_calls(const std::string& name, const Answerer& answerer) { answerers().emplace_back(name, answerer); }

void add_function(py::module_& module, const char* name, const Answerer& answerer) {
    static std::deque<Answerer> kept;
    static std::deque<PyMethodDef> definitions;
    kept.push_back(answerer);
    definitions.push_back({name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(call_on_the_usual_way)),
                           METH_FASTCALL | METH_KEYWORDS, nullptr});
    const py::capsule self(&kept.back());
    module.add_object(name, py::reinterpret_steal<py::object>(PyCFunction_New(&definitions.back(), self.ptr())));
}

Answerer answerer_of(const char* name) {
    for (const auto& [known, answerer] : answerers())
        if (known == name)
            return answerer;
    return {};
}

}  // namespace sorgum
