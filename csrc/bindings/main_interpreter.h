// A module of the main interpreter. pybind11 asks for that one's lock before it calls anything of ours: in another
// interpreter, which holds the lock already, it would wait for ever. And what is kept in statics here, types and names,
// belongs to one interpreter.
#pragma once

#include <pybind11/pybind11.h>

namespace sorgum {

// Whether a module may be imported here; else an ImportError is set.
inline bool in_main_interpreter(const char* module) {
    if (PyInterpreterState_Get() == PyInterpreterState_Main())
        return true;
    PyErr_Format(PyExc_ImportError, "%s: the interpreter must be the main one, got a subinterpreter", module);
    return false;
}

}  // namespace sorgum

#define SORGUM_MODULE(name, variable)                                                       \
    extern "C" PYBIND11_EXPORT PyObject* PyInit_##name##_of_main();                         \
    extern "C" PYBIND11_EXPORT PyObject* PyInit_##name() {                                  \
        return sorgum::in_main_interpreter("sorgum") ? PyInit_##name##_of_main() : nullptr; \
    }                                                                                       \
    PYBIND11_MODULE(name##_of_main, variable, pybind11::mod_gil_not_used())
