// Public functions as Python calls them.
#pragma once

#include <pybind11/pybind11.h>

#include "bindings/common/call.h"

namespace sorgum {

// What answers plain calls (bindings/common/call.h) of the function of this name, "sorgum.special.exp"; nothing, where
// it has no plain calls.
Answerer answerer_of(const char* name);

}  // namespace sorgum
