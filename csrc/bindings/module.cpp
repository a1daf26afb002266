// The module sorgum._core: arrays and options in, checked calls of csrc/api out.
#include "bindings/main_interpreter.h"

namespace py = pybind11;

namespace sorgum {

void register_runtime(py::module_& module);
void register_special(py::module_& module);
void register_random(py::module_& module);
void register_memory(py::module_& module);
void register_dlpack(py::module_& module);
void register_function(py::module_& module);

}  // namespace sorgum

SORGUM_MODULE(_core, module) {
    module.doc() = "Compiled kernels of sorgum. Use the modules of the package; this one may change without notice.";
    sorgum::register_runtime(module);
    sorgum::register_special(module);
    sorgum::register_random(module);
    sorgum::register_memory(module);
    sorgum::register_dlpack(module);
    sorgum::register_function(module);
}
