// Calls as Python makes them, read without pybind11's conversions, which take longer than to compute a few elements.
//
// A call of a public function is plain if its arguments need no conversion: arrays of NumPy or PyTorch of types that
// the functions of api take, all of one library, numbers, axes, flags and strings of Python's own types, and a result
// that is new or lies apart. It is answered at once. Every other call goes the usual way, to the function in Python,
// which converts its arguments and calls what the family has registered here: the same function, which is then told
// that it must answer. So nothing is refused on the plain way; what has to be refused goes the usual way, too.
#pragma once

#include <string_view>
#include <vector>

#include "api/call/rows.h"
#include "bindings/common/array.h"
#include "bindings/common/errors.h"
#include "bindings/common/tensor.h"

namespace sorgum {

enum class Way { plain, usual };

// The parameters of a function, by name and in their order.
class Parameters {
public:
    // So many of them may come without their names in a plain call; on the usual way all may.
    Parameters(index_t by_position, const std::vector<const char*>& names);

    // Puts the arguments of a call where their parameters are, null for those that are not given. False where one comes
    // twice or is unknown: names are compared by their identity, since those in source code are interned.
    bool sort(Way way, PyObject* const* args, index_t count, PyObject* names, PyObject** values) const;

    static constexpr int kMost = 12;

private:
    index_t by_position_;
    std::vector<PyObject*> names_;
};

inline bool is_given(PyObject* value) { return value != nullptr && value != Py_None; }

// Reads the arguments of one call, and keeps what their views need. On the plain way false says that an argument is of
// another kind; on the usual way errors are thrown.
class Reader {
public:
    Reader(Way way, const char* function) : way_(way), function_(function) {}
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    bool array(PyObject* value, const char* argument, ArrayView& view, const char* dtypes = kDTypes);
    bool array(PyObject* value, const char* argument, const ArrayView*& view);  // which is kept here
    bool axes(PyObject* value, AxisList& axes);                                 // if none are given: the last
    bool number(PyObject* value, ArrayView& view);                              // as float64; if none is given: 1
    bool number_or_array(PyObject* value, const char* argument, ArrayView& view);
    bool flag(PyObject* value, bool& flag) const;              // if none is given, as it was
    bool text(PyObject* value, std::string_view& text) const;  // likewise

    bool plain() const { return way_ == Way::plain; }
    // Whether all arrays that were read lie apart from one that is to be written, or are it.
    bool apart(const ArrayView& out) const;
    // A new array of the library of the first one, for a result whose type and shape are given; sets where its elements
    // are. Null without an error where that library makes none, or one that should use memory again.
    py::object new_array(ArrayView& result) const;

private:
    bool tensor(PyObject* value, ArrayView& view);

    static constexpr int kMost = 6;  // arrays of a call

    Way way_;
    const char* function_;
    PyObject* first_ = nullptr;                     // of the arrays
    const dlpack::ExchangeApi* library_ = nullptr;  // of the tensors, if they are tensors
    ArrayView views_[kMost];
    ArrayView* next_view_ = views_;
    const ArrayView* read_[kMost];
    const ArrayView** next_read_ = read_;
    tensor::Held held_[kMost];
    tensor::Held* next_held_ = held_;
    double number_ = 1.0;
    index_t axis_ = -1;
    std::vector<index_t> several_;
};

// Tells PyTorch that a tensor was written. False with an error set.
bool tell_of_change(PyObject* out);

// Writes `out` by work(), and returns a new reference to it, or null with an error set.
template <class Work>
PyObject* written(PyObject* out, Work&& work) {
    try {
        work();
    } catch (...) {
        tell_of_change(out);
        throw;
    }
    return tell_of_change(out) ? Py_NewRef(out) : nullptr;
}

// A result as it is handed out: NumPy's of no axes as a scalar.
PyObject* handed_out(py::object array);

// The answer of a plain call, or of one on the usual way, by work() that returns a new reference or null. No exception
// of C++ may leave through the interpreter: on the plain way null without an error stands for a refusal.
template <class Work>
PyObject* answered(Way way, Work&& work) {
    try {
        return work();
    } catch (const TypeError&) {
        if (way == Way::usual)
            set_python_error(std::current_exception());
    } catch (const ValueError&) {
        if (way == Way::usual)
            set_python_error(std::current_exception());
    } catch (...) {
        set_python_error(std::current_exception());
    }
    return nullptr;
}

// What answers the calls of a function, the first argument of `answer`.
struct Answerer {
    PyObject* (*answer)(const void* function, Way way, PyObject* const* args, index_t count, PyObject* names) = nullptr;
    const void* function = nullptr;
};

// Lets plain calls of the public function of this name, "sorgum.special.exp", be answered.
void answer_plain_calls(const std::string& name, const Answerer& answerer);

// Puts a function into a module that answers calls on the usual way.
void add_function(py::module_& module, const char* name, const Answerer& answerer);

}  // namespace sorgum
