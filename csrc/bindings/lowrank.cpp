// The family lowrank.
#include <pybind11/stl.h>

#include <memory>
#include <tuple>
#include <vector>

#include "api/lowrank/adapter_set.h"
#include "api/lowrank/lowrank.h"
#include "bindings/common/array.h"
#include "bindings/common/call.h"

namespace sorgum {

namespace {

// Whether `out` can be written as an array of this shape and the type of another one, before it is seen as a matrix.
void check_result(const std::string& function, const py::array& out, const std::vector<index_t>& shape,
                  const py::array& like) {
    const ArrayView model = view_of(like, function.c_str(), "x");
    check_out(function.c_str(), "out", view_of(out, function.c_str(), "out", dtype_text(model.dtype)), model.dtype,
              shape.data(), static_cast<int>(shape.size()));
}

void merge(const py::array& w, const py::array& a, const py::array& b, double scale, bool hadamard,
           const std::optional<py::array>& mask, const std::optional<py::array>& magnitude, bool transposed,
           bool rounded_twice, bool check_finite, bool wide, const py::array& out, bool out_is_new) {
    constexpr const char* name = "merge";
    lowrank::MergeArguments given;
    given.w = view_of(w, name, "W");
    given.a = view_of(a, name, "A");
    given.b = view_of(b, name, "B");
    given.out = view_of(out, name, "out", dtype_text(given.w.dtype));
    given.scale = scale;
    given.hadamard = hadamard;
    given.transposed = transposed;
    given.wide = wide;
    given.rounded_twice = rounded_twice;
    given.check_finite = check_finite;
    given.out_is_new = out_is_new;
    given.mask = optional_view(mask, name, "mask");
    given.magnitude = optional_view(magnitude, name, "magnitude");
    without_gil([&] { lowrank::merge(given); });
}

void apply(const py::array& x, const py::array& a, const py::array& b, double scale, int activation,
           const std::optional<py::array>& mid, const std::optional<py::array>& gate,
           const std::optional<py::array>& base, bool wide, const py::array& out) {
    constexpr const char* name = "apply";
    constexpr int most = static_cast<int>(lowrank::Activation::silu);
    if (activation < 0 || activation > most)
        throw ValueError(std::string(name) + ": activation must be in [0, " + std::to_string(most) + "], got " +
                         std::to_string(activation));
    lowrank::ApplyArguments given;
    given.x = view_of(x, name, "x");
    given.a = view_of(a, name, "A");
    given.b = view_of(b, name, "B");
    given.out = view_of(out, name, "out", dtype_text(given.x.dtype));
    given.scale = scale;
    given.activation = static_cast<lowrank::Activation>(activation);
    given.wide = wide;
    given.mid = optional_view(mid, name, "mid");
    given.gate = optional_view(gate, name, "gate");
    given.base = optional_view(base, name, "base");
    without_gil([&] { lowrank::apply(given); });
}

// Plain calls of apply.
PyObject* answer_apply(const void*, Way way, PyObject* const* args, index_t count, PyObject* names) {
    static const Parameters parameters(3, {"x", "A", "B", "scale", "base", "out"});
    return answered(way, [&]() -> PyObject* {
        PyObject* values[Parameters::kMost];
        if (!parameters.sort(way, args, count, names, values))
            return nullptr;
        PyObject *const base = values[4], *const out = values[5];
        Reader reader(way, "apply");
        lowrank::ApplyArguments a;
        ArrayView scale;
        if (!reader.array(values[0], "x", a.x) || !reader.array(values[1], "A", a.a) ||
            !reader.array(values[2], "B", a.b) || a.x.ndim == 0 || a.b.ndim != 2 || !reader.number(values[3], scale) ||
            (is_given(base) && !reader.array(base, "base", a.base.emplace())) ||
            (is_given(out) && (!reader.array(out, "out", a.out) || !a.out.writable)))
            return nullptr;
        a.scale = *static_cast<const double*>(scale.data);
        a.activation = lowrank::Activation::none;
        a.wide = false;
        bool taken = false;
        const auto work = [&] { without_gil(a.x, [&] { taken = lowrank::apply_contiguous(a); }); };
        if (is_given(out)) {
            PyObject* result = written(out, work);
            if (!taken)
                Py_CLEAR(result);
            return result;
        }
        a.out = lowrank::result_of_apply(a);
        const py::object made = reader.new_array(a.out);
        if (made)
            work();
        return taken ? Py_NewRef(made.ptr()) : nullptr;
    });
}

using Adapter = std::tuple<py::array, py::array, double>;

std::unique_ptr<lowrank::AdapterSet> adapter_set(const std::vector<Adapter>& adapters, bool wide) {
    constexpr const char* name = "AdapterSet";
    std::vector<lowrank::AdapterArguments> given;
    for (const auto& [a, b, scale] : adapters)
        given.push_back({view_of(a, name, "A"), view_of(b, name, "B"), scale});
    std::unique_ptr<lowrank::AdapterSet> made;
    without_gil([&] { made = std::make_unique<lowrank::AdapterSet>(given, wide); });
    return made;
}

void apply_set(const lowrank::AdapterSet& self, const py::array& x, const py::array& ids,
               const std::optional<py::array>& base, const py::array& out) {
    constexpr const char* name = "apply_adapters";
    lowrank::SetApplyArguments given;
    given.x = view_of(x, name, "x");
    given.ids = view_of(ids, name, "ids");
    given.out = view_of(out, name, "out", dtype_text(given.x.dtype));
    given.base = optional_view(base, name, "base");
    without_gil([&] { self.apply(given); });
}

void basis_add(std::uint64_t key, const py::array& weights, const py::array& out) {
    constexpr const char* name = "basis_add";
    const ArrayView a = view_of(weights, name, "weights"), y = view_of(out, name, "out");
    without_gil([&] { lowrank::basis_add(key, a, y); });
}

void basis_dots(std::uint64_t key, const py::array& g, const py::array& out) {
    constexpr const char* name = "basis_dots";
    const ArrayView x = view_of(g, name, "g"), y = view_of(out, name, "out");
    without_gil([&] { lowrank::basis_dots(key, x, y); });
}

void gram_of_rows(const py::array& x, const py::array& out) {
    const ArrayView rows = view_of(x, "gram", "x"), to = view_of(out, "gram", "out", "float64");
    without_gil([&] { lowrank::gram(rows, to); });
}

}  // namespace

void register_lowrank(py::module_& module) {
    answer_plain_calls("sorgum.lowrank.apply", {answer_apply, nullptr});
    module.def("check_out", &check_result, py::arg("function"), py::arg("out"), py::arg("shape"), py::arg("like"));
    module.def("apply", &apply, py::arg("x"), py::arg("a"), py::arg("b"), py::arg("scale"), py::arg("activation"),
               py::arg("mid"), py::arg("gate"), py::arg("base"), py::arg("wide"), py::arg("out"));
    module.def("merge", &merge, py::arg("w"), py::arg("a"), py::arg("b"), py::arg("scale"), py::arg("hadamard"),
               py::arg("mask"), py::arg("magnitude"), py::arg("transposed"), py::arg("rounded_twice"),
               py::arg("check_finite"), py::arg("wide"), py::arg("out"), py::arg("out_is_new") = false);
    module.def("basis_add", &basis_add, py::arg("key"), py::arg("weights"), py::arg("out"));
    module.def("basis_dots", &basis_dots, py::arg("key"), py::arg("g"), py::arg("out"));
    module.def("gram", &gram_of_rows, py::arg("x"), py::arg("out"));
    py::class_<lowrank::AdapterSet>(module, "AdapterSet")
        .def(py::init(&adapter_set), py::arg("adapters"), py::arg("wide"))
        .def("apply", &apply_set, py::arg("x"), py::arg("ids"), py::arg("base"), py::arg("out"))
        .def_property_readonly("inputs", &lowrank::AdapterSet::inputs)
        .def_property_readonly("outputs", &lowrank::AdapterSet::outputs)
        .def_property_readonly("wide", &lowrank::AdapterSet::is_wide);
}

}  // namespace sorgum
