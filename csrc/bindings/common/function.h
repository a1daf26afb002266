// Public functions as Python calls them.
#pragma once

#include <pybind11/pybind11.h>

#include "core/types.h"

namespace sorgum {

// Answers a call of the common kind at once. Returns null, without an error set, for every other: it goes the usual
// way, on which its arguments are checked.
using PlainCall = PyObject* (*)(PyObject* const* args, index_t count, PyObject* names);

// The one that goes with the function of this name, "sorgum.special.exp", or null.
PlainCall plain_call(const char* name);

// Tells the type of keys.
void set_key_type(PyObject* type);

}  // namespace sorgum
