// The family special.
#include <pybind11/stl.h>

#include "api/special/check.h"
#include "api/special/grad.h"
#include "api/special/special.h"
#include "bindings/common/array.h"

namespace sorgum {

namespace {

using Axes = std::optional<std::vector<index_t>>;  // None: all

special::Arguments arguments_of(const char* function, const py::array& x, const Axes& axes,
                                const py::array& temperature, const std::optional<py::array>& where,
                                const py::array& out) {
    special::Arguments a;
    a.x = view_of(x, function, "x");
    a.out = view_of(out, function, "out", dtype_text(a.x.dtype));
    a.all_axes = !axes.has_value();
    a.axes = axes.value_or(std::vector<index_t>());
    a.temperature = view_of(temperature, function, "temperature");
    a.where = optional_view(where, function, "where");
    return a;
}

template <void f(const ArrayView&, const ArrayView&)>
void bind_elementwise(py::module_& module, const char* name) {
    module.def(
        name,
        [name](const py::array& x, const py::array& out) {
            const ArrayView from = view_of(x, name, "x"), to = view_of(out, name, "out", dtype_text(from.dtype));
            without_gil(from, [&] { f(from, to); });
        },
        py::arg("x"), py::arg("out"));
}

template <void f(const special::Arguments&)>
void bind_normalised(py::module_& module, const char* name) {
    module.def(
        name,
        [name](const py::array& x, const Axes& axes, const py::array& temperature,
               const std::optional<py::array>& where, const py::array& out, const std::string& empty,
               const std::string& algorithm) {
            special::Arguments a = arguments_of(name, x, axes, temperature, where, out);
            a.empty = empty;
            a.algorithm = algorithm;
            without_gil(a.x, [&] { f(a); });
        },
        py::arg("x"), py::arg("axes"), py::arg("temperature"), py::arg("where"), py::arg("out"), py::arg("empty"),
        py::arg("algorithm"));
}

template <void f(const special::GradArguments&)>
void bind_grad(py::module_& module, const char* name) {
    module.def(
        name,
        [name](const py::array& y, const py::array& dy, const Axes& axes, const py::array& temperature,
               const std::optional<py::array>& where, const py::array& out) {
            special::GradArguments a;
            a.y = view_of(y, name, "y");
            a.dy = view_of(dy, name, "dy");
            a.out = view_of(out, name, "out", dtype_text(a.y.dtype));
            a.all_axes = !axes.has_value();
            a.axes = axes.value_or(std::vector<index_t>());
            a.temperature = view_of(temperature, name, "temperature");
            a.where = optional_view(where, name, "where");
            without_gil(a.y, [&] { f(a); });
        },
        py::arg("y"), py::arg("dy"), py::arg("axes"), py::arg("temperature"), py::arg("where"), py::arg("out"));
}

void logsumexp_grad(const py::array& x, const py::array& dy, const Axes& axes, const py::array& temperature,
                    const std::optional<py::array>& where, const py::array& out) {
    special::Arguments a = arguments_of("logsumexp_grad", x, axes, temperature, where, out);
    a.dy = view_of(dy, "logsumexp_grad", "dy");
    a.empty = "zero";
    without_gil(a.x, [&] { special::logsumexp_grad(a); });
}

void logsumexp(const py::array& x, const Axes& axes, const py::array& temperature,
               const std::optional<py::array>& where, const std::optional<py::array>& b, const py::array& out,
               const std::optional<py::array>& sign, bool keepdims) {
    special::Arguments a = arguments_of("logsumexp", x, axes, temperature, where, out);
    a.weights = optional_view(b, "logsumexp", "b");
    a.sign = optional_view(sign, "logsumexp", "sign");
    a.keepdims = keepdims;
    without_gil(a.x, [&] { special::logsumexp(a); });
}

void logsumexp_partial(const py::array& x, const Axes& axes, const py::array& temperature,
                       const std::optional<py::array>& where, const std::optional<py::array>& b, const py::array& out) {
    special::Arguments a = arguments_of("logsumexp_partial", x, axes, temperature, where, out);
    a.weights = optional_view(b, "logsumexp_partial", "b");
    without_gil(a.x, [&] { special::logsumexp_partial(a); });
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

void softmax_from_partial(const py::array& x, const py::array& p, const Axes& axes,
                          const std::optional<py::array>& where, const py::array& out, const std::string& empty) {
    special::Arguments a = arguments_of("softmax_from_partial", x, axes, p, where, out);
    a.records = a.temperature;
    a.empty = empty;
    without_gil(a.x, [&] { special::softmax_from_partial(a); });
}

}  // namespace

void register_special(py::module_& module) {
    bind_elementwise<special::exp>(module, "exp");
    bind_elementwise<special::log>(module, "log");
    bind_normalised<special::softmax>(module, "softmax");
    bind_normalised<special::log_softmax>(module, "log_softmax");
    bind_grad<special::softmax_grad>(module, "softmax_grad");
    bind_grad<special::log_softmax_grad>(module, "log_softmax_grad");
    module.def("logsumexp_grad", &logsumexp_grad, py::arg("x"), py::arg("dy"), py::arg("axes"), py::arg("temperature"),
               py::arg("where"), py::arg("out"));
    module.def("logsumexp", &logsumexp, py::arg("x"), py::arg("axes"), py::arg("temperature"), py::arg("where"),
               py::arg("b"), py::arg("out"), py::arg("sign"), py::arg("keepdims"));
    module.def("logsumexp_partial", &logsumexp_partial, py::arg("x"), py::arg("axes"), py::arg("temperature"),
               py::arg("where"), py::arg("b"), py::arg("out"));
    module.def("logsumexp_merge", &logsumexp_merge, py::arg("p"), py::arg("out"));
    module.def("logsumexp_finish", &logsumexp_finish, py::arg("p"), py::arg("out"), py::arg("sign"));
    module.def("softmax_from_partial", &softmax_from_partial, py::arg("x"), py::arg("p"), py::arg("axes"),
               py::arg("where"), py::arg("out"), py::arg("empty"));
    module.def("check_options", &special::check_options, py::arg("function"), py::arg("empty"), py::arg("algorithm"),
               py::arg("temperature"));
    module.def(
        "row_shape",
        [](const char* function, const py::array& x, const Axes& axes, bool keepdims) {
            const ArrayView view = view_of(x, function, "x");
            return py::tuple(
                py::cast(special::row_shape(function, view, !axes, axes.value_or(std::vector<index_t>()), keepdims)));
        },
        py::arg("function"), py::arg("x"), py::arg("axes"), py::arg("keepdims"));
    module.attr("CHUNK") = special::chunk();
}

}  // namespace sorgum
