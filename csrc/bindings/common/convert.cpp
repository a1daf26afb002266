// Conversion between the half types and float32.
#include "api/call/convert.h"
#include "bindings/common/array.h"

namespace sorgum {

void register_convert(py::module_& module) {
    module.def(
        "convert",
        [](const py::array& x, const py::array& out) {
            const ArrayView from = view_of(x, "convert", "x"), to = view_of(out, "convert", "out");
            without_gil([&] { convert(from, to); });
        },
        py::arg("x").noconvert(), py::arg("out").noconvert());
}

}  // namespace sorgum
