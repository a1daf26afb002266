// The family special.
#include <pybind11/stl.h>

#include "api/special.h"
#include "bindings/array.h"

namespace sorgum {

namespace {

using Axes = std::optional<std::vector<index_t>>;  // None: all

special::Arguments arguments_of(const char* function, const py::array& x, const Axes& axes,
                                const py::array& temperature, const std::optional<py::array>& where,
                                const py::array& out) {
    special::Arguments a;
    a.x = view_of(x, function, "x");
    a.out = view_of(out, function, "out");
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
            const ArrayView from = view_of(x, name, "x"), to = view_of(out, name, "out");
            without_gil([&] { f(from, to); });
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
            without_gil([&] { f(a); });
        },
        py::arg("x"), py::arg("axes"), py::arg("temperature"), py::arg("where"), py::arg("out"), py::arg("empty"),
        py::arg("algorithm"));
}

void logsumexp(const py::array& x, const Axes& axes, const py::array& temperature,
               const std::optional<py::array>& where, const std::optional<py::array>& b, const py::array& out,
               const std::optional<py::array>& sign, bool keepdims) {
    special::Arguments a = arguments_of("logsumexp", x, axes, temperature, where, out);
    a.weights = optional_view(b, "logsumexp", "b");
    a.sign = optional_view(sign, "logsumexp", "sign");
    a.keepdims = keepdims;
    without_gil([&] { special::logsumexp(a); });
}

}  // namespace

void register_special(py::module_& module) {
    module.def("set_bfloat16_type", [](int number) { bfloat16_type = number; }, py::arg("number"));
    bind_elementwise<special::exp>(module, "exp");
    bind_elementwise<special::log>(module, "log");
    bind_normalised<special::softmax>(module, "softmax");
    bind_normalised<special::log_softmax>(module, "log_softmax");
    module.def("logsumexp", &logsumexp, py::arg("x"), py::arg("axes"), py::arg("temperature"), py::arg("where"),
               py::arg("b"), py::arg("out"), py::arg("sign"), py::arg("keepdims"));
    module.def(
        "row_shape",
        [](const py::array& x, const Axes& axes, bool keepdims) {
            const ArrayView view = view_of(x, "logsumexp", "x");
            return py::tuple(py::cast(
                special::row_shape("logsumexp", view, !axes, axes.value_or(std::vector<index_t>()), keepdims)));
        },
        py::arg("x"), py::arg("axes"), py::arg("keepdims"));
}

}  // namespace sorgum
