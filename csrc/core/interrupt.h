// Ctrl-C: the bindings install a callback; the calling thread polls it between tasks.
#pragma once

#include <chrono>

namespace sorgum {

// Returns true when the caller wants the work to stop. Null means: never.
using InterruptCallback = bool (*)();

void set_interrupt_callback(InterruptCallback callback);
bool interrupt_requested();

// What a thread that works for long asks between its tasks.
class InterruptPoll {
public:
    // Throws Interrupted when the caller wants the work to stop. A callback takes the interpreter's lock, which costs
    // microseconds and may have to be waited for: it is asked every 5 milliseconds.
    void operator()();

private:
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace sorgum
