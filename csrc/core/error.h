// The errors that the public C++ functions throw. The bindings map them to Python's TypeError, ValueError,
// RuntimeError and KeyboardInterrupt. Messages have one form: "function: argument must RULE, got VALUE".
#pragma once

#include <stdexcept>
#include <string>

namespace sorgum {

struct TypeError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct ValueError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// A fact about the machine or the environment (an unsupported instruction set, say).
struct MachineError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The caller asked to stop (Ctrl-C). The Python error is already set when this is thrown.
struct Interrupted : std::runtime_error {
    Interrupted() : std::runtime_error("interrupted") {}
};

}  // namespace sorgum
