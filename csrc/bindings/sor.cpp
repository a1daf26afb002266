// The family sor.
#include "api/sor/sor.h"
#include "bindings/common/array.h"

namespace sorgum {

namespace {

double residual_norm(const py::array& indptr, const py::array& indices, const py::array& data, index_t rows,
                     index_t columns, const py::array& x, const py::array& b) {
    constexpr const char* name = "residual_norm";
    const sor::CsrArrays a = {index_view_of(indptr, name, "A.indptr"), index_view_of(indices, name, "A.indices"),
                              view_of(data, name, "A.data"), rows, columns};
    const ArrayView from_x = view_of(x, name, "x"), from_b = view_of(b, name, "b");
    double norm = 0;
    without_gil([&] { norm = sor::residual_norm(a, from_x, from_b); });
    return norm;
}

}  // namespace

void register_sor(py::module_& module) {
    module.def("residual_norm", &residual_norm, py::arg("indptr"), py::arg("indices"), py::arg("data"), py::arg("rows"),
               py::arg("columns"), py::arg("x"), py::arg("b"));
}

}  // namespace sorgum
