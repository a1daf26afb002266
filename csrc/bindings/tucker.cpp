// The family tucker.
#include <pybind11/stl.h>

#include "api/linalg/gram.h"
#include "api/tucker/tucker.h"
#include "bindings/common/array.h"

namespace sorgum {

namespace {

tucker::ModeDotArguments mode_dot_arguments(const py::array& tensor, const py::array& matrix, index_t mode,
                                            bool transposed) {
    constexpr const char* name = "mode_dot";
    return {view_of(tensor, name, "tensor"), view_of(matrix, name, "matrix_or_vector"), mode, transposed};
}

std::vector<index_t> mode_dot_shape(const py::array& tensor, const py::array& matrix, index_t mode, bool transposed) {
    return tucker::mode_dot_shape(mode_dot_arguments(tensor, matrix, mode, transposed));
}

void mode_dot(const py::array& tensor, const py::array& matrix, index_t mode, bool transposed, const py::array& out) {
    const tucker::ModeDotArguments given = mode_dot_arguments(tensor, matrix, mode, transposed);
    const ArrayView to = view_of(out, "mode_dot", "out", dtype_text(given.tensor.dtype));
    without_gil([&] { tucker::mode_dot(given, to); });
}

index_t gram_rows(const std::string& function, const py::array& tensor, index_t mode) {
    return tucker::gram_rows(function.c_str(), view_of(tensor, function.c_str(), "x"), mode);
}

void gram(const py::array& tensor, index_t mode, const py::array& out) {
    const ArrayView x = view_of(tensor, "gram", "x"), to = view_of(out, "gram", "out", "float64");
    without_gil([&] { tucker::gram(x, mode, to); });
}

void gram_partial(const py::array& tensor, index_t mode, index_t begin, index_t first, index_t columns,
                  const py::array& out) {
    const ArrayView x = view_of(tensor, "gram_partial", "x"), to = view_of(out, "gram_partial", "out", "float64");
    without_gil([&] { tucker::gram_partial(x, mode, begin, first, columns, to); });
}

}  // namespace

void register_tucker(py::module_& module) {
    module.def("mode_dot_shape", &mode_dot_shape, py::arg("tensor"), py::arg("matrix"), py::arg("mode"),
               py::arg("transposed"));
    module.def("mode_dot", &mode_dot, py::arg("tensor"), py::arg("matrix"), py::arg("mode"), py::arg("transposed"),
               py::arg("out"));
    module.def("gram_rows", &gram_rows, py::arg("function"), py::arg("x"), py::arg("mode"));
    module.def("gram_runs", &linalg::gram_runs, py::arg("begin"), py::arg("columns"));
    module.def("gram_partial", &gram_partial, py::arg("x"), py::arg("mode"), py::arg("begin"), py::arg("first"),
               py::arg("columns"), py::arg("out"));
    module.def("gram", &gram, py::arg("x"), py::arg("mode"), py::arg("out"));
}

}  // namespace sorgum
