// The module sorgum._core, with a submodule per family: arrays and options in, checked calls of csrc/api out.
#include "bindings/main_interpreter.h"

namespace py = pybind11;

namespace sorgum {

void register_runtime(py::module_& module);
void register_limits(py::module_& module);
void register_convert(py::module_& module);
void register_dlpack(py::module_& module);
void register_function(py::module_& module);
#define SORGUM_FAMILY(family) void register_##family(py::module_& module);
#include "isa/families.inc"
#undef SORGUM_FAMILY

}  // namespace sorgum

SORGUM_MODULE(_core, module) {
    module.doc() = "Compiled kernels of sorgum. Use the modules of the package; this one may change without notice.";
    sorgum::register_runtime(module);
    sorgum::register_limits(module);
    sorgum::register_convert(module);
    sorgum::register_dlpack(module);
    sorgum::register_function(module);
#define SORGUM_FAMILY(family)                                  \
    {                                                          \
        py::module_ of_family = module.def_submodule(#family); \
        sorgum::register_##family(of_family);                  \
    }
#include "isa/families.inc"
#undef SORGUM_FAMILY
}
