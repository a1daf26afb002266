// The family tucker.
#include <pybind11/stl.h>

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

}  // namespace

void register_tucker(py::module_& module) {
    module.def("mode_dot_shape", &mode_dot_shape, py::arg("tensor"), py::arg("matrix"), py::arg("mode"),
               py::arg("transposed"));
    module.def("mode_dot", &mode_dot, py::arg("tensor"), py::arg("matrix"), py::arg("mode"), py::arg("transposed"),
               py::arg("out"));
}

}  // namespace sorgum
