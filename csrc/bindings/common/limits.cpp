// The limits of the machine, for the benchmarks.
#include "api/call/limits.h"
#include "bindings/common/array.h"

namespace sorgum {

void register_limits(py::module_& module) {
    module.def(
        "memory_read",
        [](const py::array& x) {
            const ArrayView view = view_of(x, "memory_read", "x");
            double found = 0;
            without_gil([&] { found = limits::read(view); });
            return found;
        },
        py::arg("x").noconvert());
    module.def(
        "memory_copy",
        [](const py::array& source, const py::array& target) {
            const ArrayView from = view_of(source, "memory_copy", "source");
            const ArrayView to = view_of(target, "memory_copy", "target");
            without_gil([&] { limits::copy(from, to); });
        },
        py::arg("source").noconvert(), py::arg("target").noconvert());
    module.def(
        "fma_peak",
        [](index_t iterations, bool many_chains) {
            double found = 0;
            without_gil([&] { found = limits::fma_peak(iterations, many_chains); });
            return found;
        },
        py::arg("iterations"), py::arg("many_chains"));
}

}  // namespace sorgum
