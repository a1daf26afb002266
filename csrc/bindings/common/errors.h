// The errors of core/error.h as Python's.
#pragma once

#include <pybind11/pybind11.h>

#include <exception>
#include <new>

#include "core/error.h"

namespace sorgum {

inline void translate(std::exception_ptr thrown) {
    try {
        if (thrown) {
            std::rethrow_exception(thrown);
        }
    } catch (const TypeError& error) {
        PyErr_SetString(PyExc_TypeError, error.what());
    } catch (const ValueError& error) {
        PyErr_SetString(PyExc_ValueError, error.what());
    } catch (const MachineError& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    } catch (const Interrupted&) {
        if (PyErr_Occurred() == nullptr) {
            PyErr_SetNone(PyExc_KeyboardInterrupt);
        }
    } catch (const std::bad_alloc&) {
        PyErr_SetString(PyExc_MemoryError, "no memory for intermediate results");
    }
}

// The same where no exception may be thrown on.
inline void set_python_error(const std::exception_ptr& thrown) {
    try {
        translate(thrown);
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
}

}  // namespace sorgum
