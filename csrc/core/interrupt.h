// Ctrl-C: the bindings install a callback; the calling thread polls it between tasks.
#pragma once

namespace sorgum {

// Returns true when the caller wants the work to stop. Null means: never.
using InterruptCallback = bool (*)();

void set_interrupt_callback(InterruptCallback callback);
bool interrupt_requested();

}  // namespace sorgum
