// The family special.
#include <pybind11/stl.h>

#include <iterator>

#include "api/call/stored.h"
#include "api/special/check.h"
#include "api/special/special.h"
#include "bindings/common/array.h"
#include "bindings/common/call.h"

namespace sorgum {

namespace {

using special::Op;
using special::Per;

// Of an operation's parameters: what they are called, and where in its call they go. The first four are read where they
// are not given, too.
enum class Argument { x, dy, axis, temperature, where, b, p, out, sign, keepdims, empty, algorithm };

struct Described {
    Op op;
    std::vector<Argument> arguments;  // in their order on the usual way, where all are given
    Parameters parameters;

    Described(Op which, std::initializer_list<Argument> list)
        : op(which), arguments(list), parameters(takes_axis_second(list) ? 2 : 1, names_of(which, list)) {}

    static bool takes_axis_second(std::initializer_list<Argument> list) {
        return *std::next(list.begin()) == Argument::axis;
    }
    static std::vector<const char*> names_of(Op op, std::initializer_list<Argument> list) {
        static const char* const names[] = {nullptr, "dy",  "axis", "temperature", "where", "b",
                                            "p",     "out", "sign", "keepdims",    "empty", "algorithm"};
        std::vector<const char*> found;
        for (const Argument argument : list)
            found.push_back(argument == Argument::x ? special::traits(op).x : names[static_cast<int>(argument)]);
        return found;
    }
};

const std::vector<Described>& described() {
    using A = Argument;
    static const std::vector<Described> functions = {
        {Op::exp, {A::x, A::out}},
        {Op::log, {A::x, A::out}},
        {Op::softmax, {A::x, A::axis, A::temperature, A::where, A::out, A::empty, A::algorithm}},
        {Op::log_softmax, {A::x, A::axis, A::temperature, A::where, A::out, A::empty, A::algorithm}},
        {Op::logsumexp, {A::x, A::axis, A::temperature, A::where, A::b, A::out, A::sign, A::keepdims}},
        {Op::softmax_grad, {A::x, A::dy, A::axis, A::temperature, A::where, A::out}},
        {Op::log_softmax_grad, {A::x, A::dy, A::axis, A::temperature, A::where, A::out}},
        {Op::logsumexp_grad, {A::x, A::dy, A::axis, A::temperature, A::where, A::out}},
        {Op::logsumexp_partial, {A::x, A::axis, A::temperature, A::where, A::b, A::out}},
        {Op::softmax_from_partial, {A::x, A::p, A::axis, A::where, A::out, A::empty}},
    };
    return functions;
}

// Reads an argument, but `out`, into its place. On the plain way arrays have their types already.
bool read(Reader& reader, const Described& f, Argument argument, PyObject* value, special::Arguments& a) {
    const auto optional = [&](const char* name, const ArrayView*& view, bool may_be_plain) {
        return !is_given(value) || ((may_be_plain || !reader.plain()) && reader.array(value, name, view));
    };
    switch (argument) {
        case Argument::x:
            return reader.array(value, special::traits(f.op).x, a.x) && (!reader.plain() || is_float(a.x.dtype));
        case Argument::dy:
            return reader.array(value, "dy", a.dy) && (!reader.plain() || a.dy->dtype == a.x.dtype);
        case Argument::axis:
            return reader.axes(value, a.axes);
        case Argument::temperature:
            return reader.number_or_array(value, "temperature", a.temperature);
        case Argument::where:
            return optional("where", a.where, true) &&
                   (!a.where || !reader.plain() || a.where->dtype == DType::boolean);
        case Argument::b:
            return optional("b", a.weights, false);
        case Argument::p:
            return optional("p", a.records, false);
        case Argument::sign:
            return !reader.plain() && optional("sign", a.sign, false);
        case Argument::keepdims:
            return reader.flag(value, a.keepdims);
        case Argument::empty:
            return reader.text(value, a.empty);
        case Argument::algorithm:
            return reader.text(value, a.algorithm);
        case Argument::out:
            break;
    }
    return true;
}

PyObject* answer_special(const void* function, Way way, PyObject* const* args, index_t count, PyObject* names) {
    return answered(way, [&]() -> PyObject* {
        const Described& f = *static_cast<const Described*>(function);
        const char* const name = special::traits(f.op).name;
        const auto not_taken = [&]() -> PyObject* {
            if (way == Way::usual)
                throw TypeError(std::string(name) +
                                ": the arguments must be those of the compiled function, got others");
            return nullptr;
        };
        PyObject* values[Parameters::kMost];
        if (!f.parameters.sort(way, args, count, names, values))
            return not_taken();
        Reader reader(way, name);
        special::Arguments a;
        PyObject* out = nullptr;
        const bool usual = way == Way::usual;
        for (std::size_t i = 0; i < f.arguments.size(); ++i) {
            if (f.arguments[i] == Argument::out)
                out = values[i];
            else if ((values[i] != nullptr || usual || f.arguments[i] <= Argument::temperature) &&
                     !read(reader, f, f.arguments[i], values[i], a))
                return not_taken();
        }
        if (usual) {
            reader.array(out, "out", a.out, special::traits(f.op).out == Per::record ? kDTypes : dtype_text(a.x.dtype));
            without_gil(a.x, [&] { special::run(f.op, a); });
            return Py_NewRef(Py_None);
        }
        if (!is_given(out)) {
            special::set_result(f.op, a);
            py::object made = reader.new_array(a.out);
            if (!made)
                return nullptr;
            without_gil(a.x, [&] { special::run(f.op, a); });
            return handed_out(std::move(made));
        }
        if (!reader.array(out, "out", a.out) || !reader.apart(a.out))
            return nullptr;
        return written(out, [&] { without_gil(a.x, [&] { special::run(f.op, a); }); });
    });
}

void logsumexp_merge(const py::array& p, const py::array& out) {
    const ArrayView from = view_of(p, "logsumexp_merge", "p"), to = view_of(out, "logsumexp_merge", "out");
    without_gil(from, [&] { special::logsumexp_merge(from, to); });
}

void logsumexp_finish(const py::array& p, const py::array& out, const std::optional<py::array>& sign) {
    const ArrayView from = view_of(p, "logsumexp_finish", "p"), to = view_of(out, "logsumexp_finish", "out");
    const std::optional<ArrayView> signs = optional_view(sign, "logsumexp_finish", "sign");
    without_gil(from, [&] { special::logsumexp_finish(from, to, signs); });
}

std::vector<index_t> row_shape(const char* function, const py::array& x,
                               const std::optional<std::vector<index_t>>& axes, bool keepdims) {
    AxisList list;
    list.all = !axes;
    if (axes) {
        list.list = axes->data();
        list.count = static_cast<index_t>(axes->size());
    }
    return special::row_shape(function, view_of(x, function, "x"), list, keepdims);
}

}  // namespace

void register_special(py::module_& module) {
    for (const Described& function : described()) {
        const char* const name = special::traits(function.op).name;
        const Answerer answerer = {answer_special, &function};
        add_function(module, name, answerer);
        if (!special::in_two_calls(function.op))  // records have a type of their own
            answer_plain_calls(std::string("sorgum.special.") + name, answerer);
    }
    module.def("logsumexp_merge", &logsumexp_merge, py::arg("p"), py::arg("out"));
    module.def("logsumexp_finish", &logsumexp_finish, py::arg("p"), py::arg("out"), py::arg("sign"));
    module.def("check_options", &special::check_options, py::arg("function"), py::arg("empty"), py::arg("algorithm"),
               py::arg("temperature"));
    module.def(
        "row_shape",
        [](const char* function, const py::array& x, const std::optional<std::vector<index_t>>& axes, bool keepdims) {
            return py::tuple(py::cast(row_shape(function, x, axes, keepdims)));
        },
        py::arg("function"), py::arg("x"), py::arg("axes"), py::arg("keepdims"));
    module.attr("CHUNK") = special::chunk();
}

}  // namespace sorgum
